"""Who is told what and when: from the rules and what was told already, the next thing and its key.

Each thing has one key along the life of a request, so that it is told once, however many ask.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Literal, NamedTuple

from backbeat.signoff.request import Request

__all__ = ["Due", "due_now", "next_due", "timetable"]


class Due(NamedTuple):
    """One thing to be told.

    Args:
        at: When.
        key: `reminder/2`, `escalation/1`, or for its third repeat `escalation/1/3`.
        kind: Whether those who may vote are reminded, or others are told.
        to: Ids, `group:<name>`, `role:<name>`; of a reminder none, for those of the open stage.
        may_vote: Whether they may vote from then on.
    """

    at: datetime
    key: str
    kind: Literal["reminder", "escalation"]
    to: tuple[str, ...] = ()
    may_vote: bool = False


def timetable(request: Request) -> list[Due]:
    """All that is told during the life of a request, in order; what lies beyond its end is not."""
    return sorted(one for one in _all(request) if one.at < request.deadline)


def due_now(request: Request, told: Collection[str], now: datetime) -> list[Due]:
    """What is to be told by now and was not."""
    return [one for one in timetable(request) if one.key not in told and one.at <= now]


def next_due(request: Request, told: Collection[str]) -> datetime:
    """When the next thing is to be told, or the default decides."""
    return next((one.at for one in timetable(request) if one.key not in told), request.deadline)


def _all(request: Request) -> Iterator[Due]:
    rules = request.rules
    for number, after in enumerate(rules.reminders, start=1):
        yield Due(rules.after(request.created, after), f"reminder/{number}", "reminder")
    for number, level in enumerate(rules.escalation, start=1):
        at = rules.after(request.created, level.after)
        key = f"escalation/{number}"
        yield Due(at, key, "escalation", level.to, level.may_vote)
        for repeat in range(1, level.repeats + 1):
            assert level.every is not None  # noqa: S101 - the rules' validator has seen to it
            at = rules.after(at, level.every)
            yield Due(at, f"{key}/{repeat}", "escalation", level.to, level.may_vote)
