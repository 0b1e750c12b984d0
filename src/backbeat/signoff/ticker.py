"""What time asks for: reminders, escalations and deadlines, each once, however many tick.

A ticker takes what is due under a lease of the ledger, and appends what it tells under the stream's
version, in one transaction with the message. A ticker that is killed before has told nothing and
another does it after the lease; one that is killed after has told it, and nobody does it again.
"""

from __future__ import annotations

from typing import NamedTuple

from backbeat.errors import Conflict, LedgerIncompatible, NotFound, Refused
from backbeat.identity import Actor
from backbeat.ports import Ledger
from backbeat.signoff.book import settled
from backbeat.signoff.decision import Course
from backbeat.signoff.events import Escalated, Reminded
from backbeat.signoff.messages import told
from backbeat.signoff.stream import CATEGORY, Clock, fact, now_utc, record, repeated
from backbeat.signoff.timetable import due_now

__all__ = ["Ticked", "settle_due", "tick_due", "tick_request"]

_TICKER = Actor(id="system:ticker", method="system")
_AT_ONCE = 1000


class Ticked(NamedTuple):
    """How many requests a deadline has decided, and how many were told what."""

    settled: int = 0
    reminded: int = 0
    escalated: int = 0


def tick_due(ledger: Ledger, *, clock: Clock = now_utc) -> Ticked:
    """Do what time asks for on every request that is due and that no other ticker holds."""
    done = Ticked()
    for info in ledger.due(CATEGORY, state="open", limit=_AT_ONCE):
        request_id = info.stream.removeprefix(f"{CATEGORY}/")
        try:
            course, reminded, escalated = repeated(lambda one=request_id: _tick(ledger, one, clock))  # type: ignore[misc]
        except (Conflict, LedgerIncompatible, NotFound):
            continue  # one that is not for us must not keep the others waiting
        done = Ticked(
            done.settled + (course.decision is not None),
            done.reminded + reminded,
            done.escalated + escalated,
        )
    return done


def settle_due(ledger: Ledger, *, clock: Clock = now_utc) -> int:
    """Tick, and say how many open requests were decided by their deadline."""
    return tick_due(ledger, clock=clock).settled


def tick_request(ledger: Ledger, request_id: str, *, clock: Clock = now_utc) -> Course:
    """Do what time asks for on one request, for whoever waits for it.

    Raises:
        NotFound: There is no such request.
    """
    try:
        return repeated(lambda: _tick(ledger, request_id, clock))[0]
    except Refused:
        # a worker's token tells nobody anything: the service that keeps the ledger does
        return repeated(lambda: settled(ledger, request_id, clock))


def _tick(ledger: Ledger, request_id: str, clock: Clock) -> tuple[Course, int, int]:
    course = settled(ledger, request_id, clock)
    if course.decision is not None:
        return course, 0, 0
    due = due_now(course.request, course.told, course.now)
    if not due:
        return course, 0, 0
    messages = [message for one in due for message in told(course, one)]
    events: list[Reminded | Escalated] = []
    for one in due:
        common = {"key": one.key, "to": one.to or course.open_stage.of, "at": course.now}
        event: Reminded | Escalated = (
            Escalated.model_validate({**common, "may_vote": one.may_vote})
            if one.kind == "escalation"
            else Reminded.model_validate(common)
        )
        course.apply(event)
        events.append(event)
    audit = [fact("signoff.tell", course, _TICKER, keys=", ".join(one.key for one in due))]
    record(ledger, course, events, audit, messages)
    escalated = sum(one.kind == "escalation" for one in due)
    return course, len(due) - escalated, escalated
