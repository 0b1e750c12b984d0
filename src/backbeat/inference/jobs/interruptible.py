"""An event loop whose work can be interrupted by whatever a signal's handler raises.

Handlers run in the main thread, between two of its instructions. Where that is an event loop's
callback, asyncio takes every exception but KeyboardInterrupt and SystemExit for the callback's own:
it logs Dagster's interrupt or Airflow's time-out, and goes on. So the loop runs in another thread,
and the main one just waits.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["run_interruptibly"]

Found = TypeVar("Found")
# an orchestrator that has asked a task to end kills it some seconds later
_SECONDS_TO_END = 2.0


def run_interruptibly(work: Callable[[], Coroutine[Any, Any, Found]]) -> Found:
    """Like `asyncio.run`, in a thread of its own; the caller's context variables are there.

    Args:
        work: Makes the coroutine.

    Raises:
        BaseException: What the work raises; or what interrupts the caller, once the work has been
            cancelled and has ended.
    """
    begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = []
    found: list[Found] = []
    errors: list[BaseException] = []
    # not the thread's `join`: one that was interrupted takes the thread for ended (Python 3.11)
    ended = threading.Event()

    async def main() -> Found:
        begun.append((asyncio.get_running_loop(), asyncio.current_task()))
        return await work()

    def run() -> None:
        try:
            found.append(asyncio.run(main()))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            errors.append(error)
        finally:
            ended.set()

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), name="backbeat-jobs", daemon=True)
    thread.start()
    try:
        ended.wait()
    except BaseException:
        for loop, task in begun:
            if task is not None and not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
        ended.wait(_SECONDS_TO_END)
        raise
    if errors:
        raise errors[0]
    return found[0]
