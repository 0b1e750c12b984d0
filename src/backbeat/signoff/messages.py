"""What leaves through the outbox about a request; each has one key, so that a repeat is known."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from backbeat.ports import Message
from backbeat.signoff.decision import Course
from backbeat.signoff.events import BrokenGlass, EvidenceChanged, RulesChanged
from backbeat.signoff.timetable import Due

__all__ = ["decided", "glass_broken", "requested", "told", "voided"]

_log = logging.getLogger(__name__)
_TOPICS = {"reminder": "signoff.reminder", "escalation": "signoff.escalated"}


def requested(course: Course) -> list[Message]:
    """The request is there; nobody is told where the rules let nobody be reminded either."""
    if not _announced(course):
        return []
    text = "A decision is asked for."
    return _message(course, "requested", "signoff.requested", text, course.open_stage.of)


def told(course: Course, due: Due) -> list[Message]:
    """A reminder to those who may vote, or an escalation to others."""
    text = f"It waits for {course.missing} more."
    if due.may_vote:
        text += " You may vote on it now."
    to = due.to or course.open_stage.of
    return _message(course, due.key, _TOPICS[due.kind], text, to)


def decided(course: Course) -> list[Message]:
    """It is over; whoever was told of it is told that too."""
    if course.decision is None or not _announced(course):
        return []
    past = {"approve": "Approved", "reject": "Rejected"}[course.decision.choice]
    text = f"{past} by {', '.join(course.decision.by)}."
    return _message(course, "decided", "signoff.decided", text, _everybody(course))


def voided(course: Course, act: EvidenceChanged | RulesChanged) -> list[Message]:
    """What was shown has changed: whoever has voted must look again."""
    cause = "evidence" if isinstance(act, EvidenceChanged) else "rules"
    text = f"The {cause} changed: votes cast before are void."
    key = f"voided/{course.version + 1}"
    return _message(course, key, "signoff.voided", text, _everybody(course))


def glass_broken(course: Course, act: BrokenGlass) -> list[Message]:
    """Somebody has approved alone: everybody whom the rules name is told, loudly."""
    text = f"EMERGENCY: {act.actor.id} has approved alone. {act.reason}"
    more = {"by": f"{act.actor.id} ({act.actor.method})", "reason": act.reason}
    everybody = _everybody(course)
    return _message(course, "broken-glass", "signoff.broken_glass", text, everybody, more)


def _announced(course: Course) -> bool:
    return bool(course.request.rules.reminders or course.request.rules.escalation)


def _everybody(course: Course) -> tuple[str, ...]:
    rules = course.request.rules
    named = [one for stage in rules.in_order for one in (*stage.of, *stage.veto)]
    named += [one for level in rules.escalation for one in level.to]
    return tuple(dict.fromkeys([*named, *rules.changed_by]))


def _message(
    course: Course,
    key: str,
    topic: str,
    text: str,
    to: Sequence[str],
    more: Mapping[str, str] | None = None,
) -> list[Message]:
    from backbeat.notify.notice import Fact, Notice, message_of

    request = course.request
    facts = {
        "workflow": request.workflow,
        "deadline": f"{request.deadline.isoformat()}, then {request.rules.default}",
        "stage": course.open_stage.name or f"{course.stage + 1}",
        **(more or {}),
    }
    try:
        notice = Notice(
            topic=topic,
            key=f"{request.request_id}:{key.replace('/', '.')}",
            subject=request.subject,
            text=text,
            to=tuple(to)[:200],
            facts=tuple(Fact(name=name, value=value) for name, value in facts.items()),
            request_id=request.request_id,
            evidence_digest=course.digest,
        )
    except ValidationError as error:
        # who is not told can still look; what happened must not fail for it
        wrong = [".".join(map(str, item["loc"])) for item in error.errors(include_url=False)]
        _log.warning("nobody is told of %s (%s): %s", request.request_id, topic, ", ".join(wrong))
        return []
    return [message_of(notice)]
