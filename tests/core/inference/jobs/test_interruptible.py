"""An event loop that any exception of a signal's handler can end."""

from __future__ import annotations

import asyncio
import contextvars
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from backbeat.inference.jobs.interruptible import run_interruptibly

NAME = contextvars.ContextVar("NAME", default="nobody")


class Interrupt(BaseException):
    """Like Dagster's and Airflow's own."""


@pytest.fixture
def interrupted() -> Iterator[None]:
    """A tenth of a second from now, the main thread's handler raises."""

    def handle(_number: int, _frame: Any) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_it_answers_like_asyncio_run() -> None:
    """With the caller's context variables, and the work's own errors."""

    async def named() -> str:
        await asyncio.sleep(0)
        return NAME.get()

    async def broken() -> None:
        raise SystemExit(3)

    NAME.set("ana")
    assert run_interruptibly(named) == "ana"
    with pytest.raises(SystemExit, match="3"):
        run_interruptibly(broken)


@pytest.mark.usefixtures("interrupted")
def test_an_interrupt_ends_work_that_is_all_callbacks() -> None:
    """Where `asyncio.run` takes it for a callback's own error, and goes on."""
    ended = []

    async def busy() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            sum(range(2000))
            loop.call_soon(again)

        loop.call_soon(again)
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(True)

    with pytest.raises(Interrupt):
        run_interruptibly(busy)
    assert ended == [True]
