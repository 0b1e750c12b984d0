"""A request's stream in the ledger: read as a course, appended to under its version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

from backbeat.errors import Conflict, NotFound, Refused
from backbeat.identity import Actor
from backbeat.ports import AuditFact, Ledger, Message
from backbeat.signoff.counting import Refusal
from backbeat.signoff.decision import Course
from backbeat.signoff.events import Happening, kind_and_body, read_events
from backbeat.signoff.messages import decided
from backbeat.signoff.request import Request
from backbeat.signoff.text import writable
from backbeat.signoff.timetable import next_due

__all__ = [
    "CATEGORY",
    "Clock",
    "fact",
    "find_course",
    "load",
    "now_utc",
    "record",
    "refuse",
    "repeated",
    "stream_of",
]

CATEGORY = "signoff"
_TRIES = 40
_LONGEST_KEPT = 500
Clock = Callable[[], datetime]
Found = TypeVar("Found")


def now_utc() -> datetime:
    """What time it is."""
    return datetime.now(UTC)


def stream_of(request_id: str) -> str:
    """The name of a request's stream."""
    return f"{CATEGORY}/{request_id}"


def find_course(ledger: Ledger, request_id: str) -> Course | None:
    """A request as its events have left it; None where there is none.

    Raises:
        LedgerIncompatible: A later version has written what is not understood here.
    """
    events = ledger.read(stream_of(request_id))
    return Course(*read_events(events)) if events else None


def load(ledger: Ledger, request_id: str) -> Course:
    """A request as its events have left it; raises NotFound."""
    course = find_course(ledger, request_id)
    if course is None:
        raise NotFound(
            f"there is no sign-off request {request_id}", hint="see `backbeat signoff list`"
        )
    return course


def record(
    ledger: Ledger,
    course: Course,
    happened: Sequence[Happening],
    audit: Sequence[AuditFact],
    messages: Sequence[Message] = (),
) -> None:
    """Append what has happened to a course, with the decision that follows from it.

    The decision is computed from the very events whose version the append is held against: of two
    votes at once one is appended, and the other is held against what the first has made of it.

    Args:
        ledger: Where the request lives.
        course: To which all of it was applied.
        happened: The events to append.
        audit: What goes to the audit log with them.
        messages: What leaves through the outbox.

    Raises:
        Conflict: Somebody else appended first; nothing was written.
    """
    events = [kind_and_body(one) for one in happened]
    facts = list(audit)
    if course.decision is not None and not course.recorded:
        events.append(kind_and_body(course.decision))
        actor = facts[-1].actor if facts else Actor(id=course.decision.by[0], method="system")
        facts.append(fact("signoff.decide", course, actor, choice=course.decision.choice))
    if course.decision is not None:
        messages = [*messages, *decided(course)]
    course.version = ledger.append(
        stream_of(course.request.request_id),
        events,
        category=CATEGORY,
        expected=course.version,
        state=_state(course),
        due=next_due(course.request, course.told),
        audit=facts,
        messages=messages,
    )
    course.recorded = course.decision is not None


def refuse(
    ledger: Ledger,
    action: str,
    course: Course,
    actor: Actor,
    refusal: Refusal,
    *,
    reason: str = "",
    **facts: str,
) -> NoReturn:
    """Put on record that something was refused, change nothing else, and say so.

    Raises:
        Refused: Always. Its message is the sentence for people; the code is in the audit log.
    """
    request_id = course.request.request_id
    kept = writable(reason)[:_LONGEST_KEPT]
    actor = actor.model_copy(update={"id": writable(actor.id)})
    audit = replace(
        fact(action, course, actor, kept, code=str(refusal.code), **facts), outcome="refused"
    )
    ledger.append(
        stream_of(request_id),
        [],
        category=CATEGORY,
        expected=course.version,
        state="open",
        due=None,
        audit=[audit],
    )
    raise Refused(
        f"the {action.removeprefix('signoff.').replace('_', ' ')} on {request_id} is refused: "
        f"{refusal.why}",
        hint="see `backbeat signoff show` for the rules and the votes",
    )


def fact(
    action: str, course: Course | Request, actor: Actor, reason: str = "", **facts: str
) -> AuditFact:
    """What goes to the audit log; of a reason only a commitment."""
    request = course.request if isinstance(course, Course) else course
    shown = course.digest if isinstance(course, Course) else course.evidence_digest
    return AuditFact(
        action=action,
        outcome="ok",
        actor=actor,
        subject={"request_id": request.request_id, "about": request.about},
        facts={"evidence": shown, **facts},
        personal={"reason": reason} if reason else {},
    )


def repeated(attempt: Callable[[], Found]) -> Found:
    """Try again where somebody else has appended first.

    Raises:
        Conflict: The request changes faster than one can follow.
    """
    for _ in range(_TRIES - 1):
        try:
            return attempt()
        except Conflict:
            continue
    return attempt()


def _state(course: Course) -> str:
    if course.decision is None:
        return "open"
    return "approved" if course.decision.choice == "approve" else "rejected"
