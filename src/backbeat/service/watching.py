"""One look-out for everybody who waits: a hundred triggers hold one connection, not a hundred."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from functools import partial

from backbeat.ports import Ledger

__all__ = ["Lookout"]

_ROUND_SECONDS = 5.0  # short, for the process cannot end while a thread looks out


class Lookout:
    """Waits on behalf of many for a stream to change.

    Args:
        ledger: What is watched.
        thread: Where the blocking wait happens.
    """

    def __init__(self, ledger: Ledger, thread: Executor) -> None:
        self._ledger = ledger
        self._thread = thread
        self._round: asyncio.Future[bool] | None = None

    async def changed(self, seconds: float) -> bool:
        """Wait until a stream may have changed, at most so long; False where time was up."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            if self._round is None or self._round.done():
                look = partial(self._ledger.watch, seconds=_ROUND_SECONDS)
                self._round = loop.run_in_executor(self._thread, look)
            # whoever leaves early leaves the round to the others
            done, _ = await asyncio.wait({self._round}, timeout=left)
            if done and self._round.result():
                return True
        return False
