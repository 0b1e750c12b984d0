"""Exactly one reminder a level, with ten tickers and SIGKILLs."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from backbeat import Actor
from backbeat.ledger.sql import SqlLedger
from backbeat.signoff import (
    Escalation,
    Ticked,
    open_request,
    read_request,
    settle_due,
    tick_due,
    vote,
)

Make = Callable[..., Any]
CREATED = datetime(2999, 1, 1, tzinfo=UTC)
LEVELS = {
    "reminders": [timedelta(hours=2), timedelta(hours=4)],
    "escalation": [
        Escalation(after=timedelta(hours=3), to=("lead",), may_vote=True),
        Escalation(after=timedelta(hours=6), to=("boss",), repeats=2, every=timedelta(hours=1)),
    ],
}
KEYS = [
    *("reminder.1", "escalation.1", "reminder.2"),
    *("escalation.2", "escalation.2.1", "escalation.2.2"),
]
SOURCE = """
import sys
from backbeat.ledger import open_ledger
from backbeat.signoff import tick_due
ledger = open_ledger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    tick_due(ledger)
"""


def _told(ledger: SqlLedger) -> Counter[str]:
    query = text("SELECT body FROM backbeat_outbox ORDER BY position")
    with ledger.database.read() as view:
        keys = [json.loads(body)["key"] for body in view.execute(query).scalars()]
    return Counter(key.partition(":")[2] for key in keys)


def _at(hours: float) -> Callable[[], datetime]:
    return lambda: CREATED + timedelta(hours=hours)


def _tick(ledger: SqlLedger, hours: float) -> Ticked:
    ledger.database.now = _at(hours)  # type: ignore[method-assign]
    return tick_due(ledger, clock=_at(hours))


def test_each_level_is_told_once_in_its_time(either: SqlLedger, request_of: Make) -> None:
    """Nothing before its time; a late tick catches up; the deadline decides and tells it."""
    open_request(either, request_of(stages=[{"quorum": 2}], **LEVELS))
    assert _tick(either, 1.9) == Ticked()
    assert _tick(either, 2) == Ticked(reminded=1)
    assert _tick(either, 2.5) == Ticked()
    assert _tick(either, 7.5) == Ticked(reminded=1, escalated=3)
    assert _tick(either, 1) == Ticked()
    assert _tick(either, 23) == Ticked(escalated=1)
    assert _tick(either, 24) == Ticked(settled=1)
    assert _tick(either, 25) == Ticked()
    assert _told(either) == Counter(["requested", *KEYS, "decided"])
    decision = read_request(either, "so-1").decision
    assert decision is not None
    assert decision.by == ("system:deadline",)


def test_who_was_told_may_vote_from_then_on(either: SqlLedger, request_of: Make) -> None:
    """An escalation that lets its people vote does so once it is on record, and not before."""
    request = request_of(stages=[{"of": ["ben"], "quorum": 1}], **LEVELS)
    state = open_request(either, request)
    word: dict[str, Any] = {
        "choice": "approve",
        "actor": Actor(id="lead", method="cli"),
        "evidence_digest": state.request.evidence_digest,
    }
    with pytest.raises(Exception, match="lead is not among the approvers"):
        vote(either, "so-1", clock=_at(2.9), **word)
    _tick(either, 3)
    assert vote(either, "so-1", clock=_at(3), **word).name == "approved"
    assert _tick(either, 20) == Ticked()


def test_a_request_that_is_not_understood_holds_up_no_other(
    either: SqlLedger, request_of: Make
) -> None:
    """A later version's request is left to the later version."""
    open_request(either, request_of(request_id="so-0", quorum=1))
    either.append(
        "signoff/so-0",
        [("frozen_by_court", {"format": 3})],
        category="signoff",
        expected=1,
        state="open",
        due=CREATED,
        audit=[],
    )
    open_request(either, request_of())
    either.database.now = _at(30)  # type: ignore[method-assign]
    assert settle_due(either, clock=_at(30)) == 1


def test_ten_tickers_and_sigkills_tell_each_level_once(
    either: SqlLedger, address: str, request_of: Make, start_python: Make
) -> None:
    """Ten processes tick at once, half of them are killed somewhere in between."""
    now = datetime.now(UTC)
    number = 30
    for one in range(number):
        open_request(
            either,
            request_of(
                request_id=f"so-{one}",
                created=now - timedelta(hours=10),
                deadline=now + timedelta(hours=10),
                stages=[{"quorum": 2}],
                **LEVELS,
            ),
        )
    processes = [start_python(SOURCE, address, 20) for _ in range(10)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes[:5]:
        time.sleep(random.uniform(0, 0.1))  # noqa: S311 - anywhere
        process.kill()
    for process in processes[5:]:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with either.database.write() as tx:  # what the killed ones held is free half a minute later
        tx.execute(text("UPDATE backbeat_streams SET taken_until = NULL"))
    tick_due(either)
    assert _told(either) == Counter(dict.fromkeys(["requested", *KEYS], number))
    for one in range(number):
        kinds = [event.kind for event in either.read(f"signoff/so-{one}")]
        assert Counter(kinds) == {"requested": 1, "reminded": 2, "escalated": 4}
