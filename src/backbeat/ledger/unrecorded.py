"""Rung 0: the door without a ledger. Lineage goes straight out; nothing is claimed or recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from backbeat.errors import BackbeatError, UnmetNeed
from backbeat.ports import (
    Attempt,
    AuditFact,
    Budget,
    Claim,
    Claimed,
    Ending,
    Event,
    Message,
    Recorded,
    RunRecord,
    Sink,
    StreamInfo,
)

__all__ = ["Unrecorded"]

_log = logging.getLogger(__name__)


class Unrecorded:
    """Stands where a ledger would; content keys and atomic renames carry what can be promised.

    Args:
        sinks: Where lineage goes, by topic.
    """

    def __init__(self, sinks: Mapping[str, Sink]) -> None:
        self._sinks = sinks

    def claim(self, claim: Claim) -> Claimed | Recorded:
        """Always grants: two workers may perform the same step here, and the store sorts it out."""
        self._send(claim.messages)
        return Claimed(token=0, started_at=datetime.now(UTC))

    def heartbeat(self, key: str, token: int, *, lease_seconds: float) -> None:
        """There is no lease to prolong."""

    def finish(self, key: str, token: int, ending: Ending) -> None:
        """Send the ending's messages on."""
        self._send(ending.messages)

    def deny(self, claim: Claim, ending: Ending) -> None:
        """Send the ending's messages on."""
        self._send(ending.messages)

    def append(
        self,
        stream: str,
        additions: Sequence[tuple[str, Mapping[str, Any]]],
        *,
        category: str,
        expected: int,
        state: str,
        due: datetime | None,
        audit: Sequence[AuditFact],
        messages: Sequence[Message] = (),
    ) -> int:
        """Refuses: a state machine needs a ledger."""
        raise _needs_ledger(category)

    def read(self, stream: str) -> list[Event]:
        """Refuses: a state machine needs a ledger."""
        raise _needs_ledger(stream)

    def streams(
        self, category: str, *, state: str | None = None, since: datetime | None = None
    ) -> list[StreamInfo]:
        """Refuses: a state machine needs a ledger."""
        raise _needs_ledger(category)

    def run(self, key: str) -> RunRecord | None:
        """Nothing is recorded."""
        return None

    def runs(
        self, *, state: str | None = None, request_id: str | None = None, limit: int = 100
    ) -> list[RunRecord]:
        """Refuses: nothing is recorded."""
        raise _needs_ledger("a list of runs")

    def attempts(self, key: str) -> list[Attempt]:
        """Nothing is recorded."""
        return []

    def due(self, category: str, *, state: str, limit: int) -> list[StreamInfo]:
        """Refuses: a state machine needs a ledger."""
        raise _needs_ledger(category)

    def watch(self, *, seconds: float) -> bool:
        """Refuses: a state machine needs a ledger."""
        raise _needs_ledger("watching")

    def acquire(self, name: str, *, holder: str, seconds: float) -> None:
        """Refuses: a lock needs a ledger."""
        raise _needs_ledger(name)

    def release(self, name: str, *, holder: str) -> None:
        """Nothing is held."""

    def lock(self, name: str, *, owner: str, seconds: float) -> AbstractContextManager[None]:
        """Refuses: a lock needs a ledger."""
        raise _needs_ledger(name)

    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        """Counts in this process alone."""
        from backbeat.retries import spend_locally

        return spend_locally(budget, cost=cost, earned=earned)

    def drain(self, sinks: Mapping[str, Sink], *, limit: int) -> int:
        """Nothing waits."""
        return 0

    def check(self) -> dict[str, Any]:
        """There is nothing to check."""
        return {}

    def _send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            sink = self._sinks.get(message.topic)
            if sink is None:
                continue
            try:
                sink.deliver(message)
            except BackbeatError as error:
                # lineage must not fail the work, and without an outbox there is no second try
                _log.warning("lineage was not delivered: %s", error)


def _needs_ledger(what: str) -> UnmetNeed:
    return UnmetNeed(
        f"{what} needs a ledger (rung 1), and this platform has none",
        hint="give the platform a ledger file",
    )
