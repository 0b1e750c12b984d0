"""Many wait, and one looks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backbeat import Actor
from backbeat.errors import LedgerIncompatible, Unreachable
from backbeat.ledger.sqlite import SqliteLedger
from backbeat.signoff import open_request, vote
from backbeat.signoff.watcher import Watcher

Make = Callable[..., Any]
_PATIENCE = 20.0


class Counting:
    """A ledger that counts who asks it what, and fails when it is told to."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self.asked: list[str] = []
        self.errors: list[Exception] = []
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._ledger, name)

        def call(*given: Any, **named: Any) -> Any:
            with self._lock:
                self.asked.append(name)
                if name == "streams" and self.errors:
                    raise self.errors.pop(0)
            return real(*given, **named)

        return call


@pytest.fixture
def counting(ledger: SqliteLedger) -> Counting:
    """A ledger with counters."""
    return Counting(ledger)


def _asked(ledger: Any, request_of: Make, number: int, **fields: Any) -> Any:
    request = request_of(request_id=f"so-{number}", quorum=1, **fields)
    open_request(ledger, request)
    return request


def _approve(ledger: Any, request: Any) -> None:
    vote(
        ledger,
        request.request_id,
        choice="approve",
        actor=Actor(id="ben", method="cli"),
        evidence_digest=request.evidence_digest,
    )


def test_who_waits_hears_of_the_decision_and_nobody_else_does(
    ledger: SqliteLedger, request_of: Make
) -> None:
    """One request's vote ends one wait."""
    ours, other = (_asked(ledger, request_of, number) for number in (1, 2))

    async def watch() -> None:
        watcher = Watcher(lambda: ledger, poll_seconds=1.0)
        both = [asyncio.create_task(watcher.decided(one.request_id)) for one in (ours, other)]
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in both)
        await asyncio.to_thread(_approve, ledger, ours)
        await asyncio.wait_for(both[0], _PATIENCE)
        assert not both[1].done()
        both[1].cancel()

    asyncio.run(watch())


def test_one_that_is_decided_or_gone_is_not_waited_for(
    ledger: SqliteLedger, request_of: Make
) -> None:
    """The trigger of a task that was parked before the vote came, started anew."""
    request = _asked(ledger, request_of, 1)
    _approve(ledger, request)

    async def watch() -> None:
        watcher = Watcher(lambda: ledger)
        await asyncio.wait_for(watcher.decided(request.request_id), _PATIENCE)
        await asyncio.wait_for(watcher.decided("so-that-nobody-made"), _PATIENCE)

    asyncio.run(watch())


def test_a_deadline_is_settled_by_who_waits(ledger: SqliteLedger, request_of: Make) -> None:
    """Nobody ticks, and the default decides all the same."""
    now = datetime.now(UTC)
    request = _asked(ledger, request_of, 1, created=now, deadline=now + timedelta(milliseconds=600))

    async def watch() -> None:
        watcher = Watcher(lambda: ledger, poll_seconds=0.3)
        await asyncio.wait_for(watcher.decided(request.request_id), _PATIENCE)

    asyncio.run(watch())
    assert ledger.streams("signoff")[0].state == "rejected"


def test_three_hundred_who_wait_ask_as_much_as_one(
    ledger: SqliteLedger, counting: Counting, request_of: Make
) -> None:
    """Two questions when they come, then one a round; nobody's request is read by itself."""
    requests = [_asked(ledger, request_of, number) for number in range(300)]

    async def watch() -> None:
        watcher = Watcher(lambda: counting, poll_seconds=0.5)  # type: ignore[arg-type,return-value]
        waits = [asyncio.create_task(watcher.decided(one.request_id)) for one in requests]
        await asyncio.sleep(2.0)
        assert counting.asked.count("read") == 0
        assert counting.asked.count("streams") <= 1 + counting.asked.count("watch")
        await asyncio.to_thread(_approve, ledger, requests[7])
        await asyncio.wait_for(waits[7], _PATIENCE)
        for task in waits:
            task.cancel()

    asyncio.run(watch())


def test_a_ledger_that_is_away_is_looked_at_again(
    ledger: SqliteLedger, counting: Counting, request_of: Make
) -> None:
    """Who came while it was away is not forgotten."""
    request = _asked(ledger, request_of, 1)
    _approve(ledger, request)
    counting.errors = [Unreachable("away"), Unreachable("still away")]

    async def watch() -> None:
        watcher = Watcher(lambda: counting, poll_seconds=0.05)  # type: ignore[arg-type,return-value]
        await asyncio.wait_for(watcher.decided(request.request_id), _PATIENCE)

    asyncio.run(watch())
    assert counting.errors == []


def test_a_ledger_that_will_never_answer_ends_every_wait(
    ledger: SqliteLedger, counting: Counting, request_of: Make
) -> None:
    """The error reaches all who wait, and who comes later begins anew."""
    requests = [_asked(ledger, request_of, number) for number in range(3)]
    counting.errors = [LedgerIncompatible("of another program")]

    async def watch() -> None:
        watcher = Watcher(lambda: counting, poll_seconds=0.1)  # type: ignore[arg-type,return-value]
        waits = [watcher.decided(one.request_id) for one in requests]
        found = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), _PATIENCE)
        assert [type(error) for error in found] == [LedgerIncompatible] * 3
        await asyncio.to_thread(_approve, ledger, requests[0])
        await asyncio.wait_for(watcher.decided(requests[0].request_id), _PATIENCE)

    asyncio.run(watch())


def test_nobody_waits_and_nothing_is_asked(
    ledger: SqliteLedger, counting: Counting, request_of: Make
) -> None:
    """A cancelled wait, as of a cleared task, leaves no look-out behind."""
    request = _asked(ledger, request_of, 1)

    async def watch() -> None:
        watcher = Watcher(lambda: counting, poll_seconds=0.1)  # type: ignore[arg-type,return-value]
        first, second = (asyncio.create_task(watcher.decided(request.request_id)) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        await asyncio.sleep(0.5)
        assert not second.done()
        second.cancel()
        await asyncio.sleep(1.5)
        asked = len(counting.asked)
        await asyncio.sleep(0.5)
        assert len(counting.asked) == asked

    asyncio.run(watch())
