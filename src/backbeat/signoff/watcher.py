"""One look at the ledger for everybody who waits in a process: ten thousand cost as much as one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from backbeat.errors import BackbeatError, NotFound
from backbeat.ports import Ledger, StreamInfo
from backbeat.signoff.ticker import tick_request
from backbeat.signoff.timetable import next_due

__all__ = ["Watcher"]

_CATEGORY = "signoff"
# so few are read one by one; of more, all that are open are asked for in one question
_FEW = 8
# what is being written while we look can carry an older time than what we have seen
_LATE = timedelta(minutes=1)
_SHORTEST_SECONDS = 0.25
_NEVER = datetime.max.replace(tzinfo=UTC)
_log = logging.getLogger(__name__)


class Watcher:
    """Waits for sign-off requests to be decided, on behalf of all who wait in one event loop.

    There is one question to the ledger a round: which requests have moved since the last one. A
    round begins when the ledger says that something was written, and after `poll_seconds`. A
    deadline that has passed is settled here, for nobody else may be looking.

    Args:
        ledger: Opens the ledger; called in a thread.
        poll_seconds: Longest time between two rounds.
        clock: Says what time it is, UTC.
    """

    def __init__(
        self,
        ledger: Callable[[], Ledger],
        *,
        poll_seconds: float = 5.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._poll = poll_seconds
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}
        self._fresh: set[str] = set()
        self._joined = asyncio.Event()
        # clocks may disagree, and by the first answer we know the ledger's
        self._since = clock() - timedelta(days=1)
        self._rounds: asyncio.Task[None] | None = None

    async def decided(self, request_id: str) -> None:
        """Wait until a request is decided, by votes or by its deadline, or is not there at all.

        Raises:
            BackbeatError: The ledger cannot be read, and a retry does not help.
        """
        waiting = self._waiting.get(request_id)
        if waiting is None:
            waiting = self._waiting[request_id] = _Waiting(
                asyncio.get_running_loop().create_future()
            )
            self._fresh.add(request_id)
            self._joined.set()
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._run())
        waiting.people += 1
        try:
            # whoever gives up leaves the others waiting
            await asyncio.shield(waiting.end)
        finally:
            waiting.people -= 1
            if not waiting.people and self._waiting.get(request_id) is waiting:
                del self._waiting[request_id]
                self._fresh.discard(request_id)
                self._joined.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(2, thread_name_prefix="backbeat-watcher")
        noticed: asyncio.Future[Any] | None = None
        try:
            while self._waiting:
                if noticed is None or noticed.done():
                    # before the look: what is written meanwhile is noticed in the next round
                    noticed = loop.run_in_executor(threads, self._notice)
                await self._round(loop, threads)
                # a storm of votes is one round after the other, and not one each
                await asyncio.sleep(_SHORTEST_SECONDS)
                joined: asyncio.Future[Any] = asyncio.ensure_future(self._joined.wait())
                await asyncio.wait(
                    {noticed, joined}, timeout=self._poll, return_when=asyncio.FIRST_COMPLETED
                )
                joined.cancel()
        finally:
            threads.shutdown(wait=False)

    async def _round(self, loop: asyncio.AbstractEventLoop, threads: Executor) -> None:
        fresh, self._fresh = self._fresh, set()
        self._joined.clear()
        now = self._clock()
        late = {name for name, one in self._waiting.items() if one.due and one.due <= now}
        look = partial(self._look, fresh, late - fresh, frozenset(self._waiting))
        try:
            found = await loop.run_in_executor(threads, look)
        except BackbeatError as error:
            if not error.retryable:
                self._give_up(error)
                return
            self._fresh |= fresh & self._waiting.keys()
            _log.warning("the ledger cannot be read, and will be looked at again: %s", error)
            await asyncio.sleep(self._poll)
            return
        for name, due in found.items():
            waiting = self._waiting.get(name)
            if waiting is None:
                continue
            waiting.due = due
            if due is None:
                del self._waiting[name]
                waiting.end.set_result(None)

    def _notice(self) -> None:
        with suppress(BackbeatError):  # the look meets the same error, and says so
            self._ledger().watch(seconds=self._poll)

    def _look(
        self, fresh: set[str], late: set[str], waiting: frozenset[str]
    ) -> dict[str, datetime | None]:
        """When each that has moved is due now; None for who need not wait any longer."""
        ledger = self._ledger()
        heads = ledger.streams(_CATEGORY, since=self._since - _LATE)
        if heads:
            self._since = heads[0].updated_at
        if len(fresh) > _FEW:
            heads += ledger.streams(_CATEGORY, state="open")
        found: dict[str, datetime | None] = {
            name: head.due or _NEVER for name, head in _named(heads) if name in waiting
        }
        found |= {name: None for name, head in _named(heads) if head.state != "open"}
        alone = late if len(fresh) > _FEW else late | fresh
        found |= {name: _due(ledger, name) for name in alone}
        # what is not among all that are open is not open
        return {**dict.fromkeys(fresh), **found}

    def _give_up(self, error: BackbeatError) -> None:
        waiting, self._waiting = self._waiting, {}
        self._fresh.clear()
        for one in waiting.values():
            one.end.set_exception(error)


@dataclass
class _Waiting:
    """One request that is waited for."""

    end: asyncio.Future[None]
    people: int = 0
    due: datetime | None = None


def _named(heads: list[StreamInfo]) -> Iterator[tuple[str, StreamInfo]]:
    return ((head.stream.removeprefix(f"{_CATEGORY}/"), head) for head in heads)


def _due(ledger: Ledger, request_id: str) -> datetime | None:
    """When it is due next; None where it is decided, which this settles, or is not there.

    What is due is told by this: a triggerer ticks for all who wait in it.
    """
    try:
        course = tick_request(ledger, request_id)
    except NotFound:
        return None  # the task meets the same error when it resumes, and reports it
    return None if course.decision is not None else next_due(course.request, course.told)
