"""What people do to a request beside voting; each act is recorded, or refused and recorded so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from backbeat.identity import Actor
from backbeat.ports import Ledger, Message
from backbeat.signoff.counting import Code, Refusal
from backbeat.signoff.decision import Course
from backbeat.signoff.directory import people_of
from backbeat.signoff.events import (
    BrokenGlass,
    Delegated,
    EvidenceChanged,
    Retracted,
    RulesChanged,
)
from backbeat.signoff.evidence import Evidence
from backbeat.signoff.messages import glass_broken, voided
from backbeat.signoff.people import Directory, person_of
from backbeat.signoff.permission import why_not_act
from backbeat.signoff.rules import Rules
from backbeat.signoff.state import State, state_of
from backbeat.signoff.stream import Clock, fact, now_utc, record, refuse, repeated
from backbeat.signoff.text import writable
from backbeat.signoff.voting import course_for

__all__ = ["break_glass", "change_evidence", "change_rules", "delegate", "retract"]

Act = Retracted | Delegated | EvidenceChanged | RulesChanged | BrokenGlass


def delegate(
    ledger: Ledger,
    request_id: str,
    *,
    actor: Actor,
    to: str,
    starts: datetime | None = None,
    ends: datetime,
    reason: str = "",
    claimed_by: str = "",
    clock: Clock = now_utc,
    directory: Directory | None = None,
) -> State:
    """Let somebody else vote for oneself on one request.

    Args:
        ledger: Where the request lives.
        request_id: The request.
        actor: Whose right it is.
        to: The id of the person who then may use it.
        starts: From when on; now if not given.
        ends: Until when.
        reason: Why, in their own words.
        claimed_by: The operating-system user who claims to be this actor.
        clock: Says what time it is, UTC.
        directory: Who people are; the ledger's own directory if not given.

    Raises:
        NotFound: There is no such request.
        Refused: The rules do not allow it; the refusal is on record.
    """
    people = directory or people_of(ledger)
    return _perform(
        ledger,
        request_id,
        "signoff.delegate",
        actor,
        reason,
        clock,
        people,
        lambda common, course: Delegated(
            **common, delegate=people.known(to), starts=starts or course.now, ends=ends
        ),
        claimed_by=claimed_by,
    )


def retract(
    ledger: Ledger,
    request_id: str,
    *,
    actor: Actor,
    reason: str = "",
    claimed_by: str = "",
    clock: Clock = now_utc,
    directory: Directory | None = None,
) -> State:
    """Take one's own vote back, as long as its stage is open; raises as `delegate`."""
    return _perform(
        ledger,
        request_id,
        "signoff.retract",
        actor,
        reason,
        clock,
        directory,
        lambda common, _: Retracted(**common),
        claimed_by=claimed_by,
    )


def change_evidence(
    ledger: Ledger,
    request_id: str,
    *,
    actor: Actor,
    about: dict[str, str],
    evidence: dict[str, Any],
    shown: Evidence | None = None,
    reason: str = "",
    clock: Clock = now_utc,
    directory: Directory | None = None,
) -> State:
    """Show something else: only the requester may, and every vote before is void.

    Raises as `delegate`; a request of the simple form is asked anew instead.
    """
    return _perform(
        ledger,
        request_id,
        "signoff.change_evidence",
        actor,
        reason,
        clock,
        directory,
        lambda common, _: EvidenceChanged(**common, about=about, evidence=evidence, shown=shown),
        voided,
    )


def change_rules(
    ledger: Ledger,
    request_id: str,
    *,
    actor: Actor,
    rules: Rules,
    deadline: datetime | None = None,
    reason: str = "",
    clock: Clock = now_utc,
    directory: Directory | None = None,
) -> State:
    """Change the rules: only who they name in `changed_by` may, and every vote before is void.

    Raises as `delegate`.
    """
    return _perform(
        ledger,
        request_id,
        "signoff.change_rules",
        actor,
        reason,
        clock,
        directory,
        lambda common, course: RulesChanged(
            **common, rules=rules, deadline=deadline or course.request.deadline
        ),
        voided,
    )


def break_glass(
    ledger: Ledger,
    request_id: str,
    *,
    actor: Actor,
    reason: str,
    claimed_by: str = "",
    clock: Clock = now_utc,
    directory: Directory | None = None,
) -> State:
    """Approve alone in an emergency, where the rules name who may; everybody is told.

    Raises as `delegate`.
    """
    return _perform(
        ledger,
        request_id,
        "signoff.break_glass",
        actor,
        reason,
        clock,
        directory,
        lambda common, _: BrokenGlass(**common),
        glass_broken,
        claimed_by=claimed_by,
    )


def _perform(
    ledger: Ledger,
    request_id: str,
    action: str,
    actor: Actor,
    reason: str,
    clock: Clock,
    directory: Directory | None,
    build: Callable[[dict[str, Any], Course], Act],
    tell: Callable[[Course, Any], Sequence[Message]] = lambda _, __: (),
    *,
    claimed_by: str = "",
) -> State:
    def attempt() -> State:
        course = course_for(ledger, request_id, clock, action, actor)
        common: dict[str, Any] = {
            "actor": actor,
            "person": person_of(directory or people_of(ledger), actor),
            "reason": reason,
            "at": course.now,
            "claimed_by": claimed_by,
        }
        try:
            act = build(common, course)
            refusal = why_not_act(course, act)
            if any(writable(one) != one for one in (actor.id, reason, claimed_by)):
                refusal = Refusal(Code.BAD_TEXT, "it holds what is no Unicode text")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            refusal = Refusal(Code.BAD_TEXT, f"{where}: {first['msg']}")
        if refusal is not None:
            refuse(ledger, action, course, actor, refusal, reason=reason)
        before = course.digest
        course.apply(act)
        changed = {"before": before} if course.digest != before else {}
        audit = fact(action, course, actor, reason, **changed)
        record(ledger, course, [act], [audit], tell(course, act))
        return state_of(course)

    return repeated(attempt)
