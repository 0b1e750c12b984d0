"""Who may do what beside voting: delegate, break glass, change what is asked, take a vote back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbeat.signoff.counting import Code, Refusal
from backbeat.signoff.events import (
    BrokenGlass,
    Delegated,
    EvidenceChanged,
    Retracted,
    RulesChanged,
)
from backbeat.signoff.people import SYSTEM, Person, matches

if TYPE_CHECKING:
    from backbeat.signoff.decision import Course

__all__ = ["why_not_act", "why_not_broken", "why_not_changed", "why_not_delegated"]

_SHORTEST_REASON = 10


def why_not_act(
    course: Course, what: Retracted | Delegated | EvidenceChanged | RulesChanged | BrokenGlass
) -> Refusal | None:
    """Why somebody may not do this now; None where they may."""
    if course.decision is not None:
        return Refusal(Code.AFTER_DECISION, "it is decided already")
    if isinstance(what, Delegated):
        return why_not_delegated(course, what)
    if isinstance(what, BrokenGlass):
        return why_not_broken(course, what)
    if isinstance(what, Retracted):
        mine = any(one.by.key == what.person.key for one in course.votes_here)
        none = Refusal(Code.NO_VOTE, f"{what.actor.id} has no vote in the open stage")
        return _unknown(what) or (None if mine else none)
    return why_not_changed(course, what)


def why_not_delegated(course: Course, what: Delegated) -> Refusal | None:  # noqa: PLR0911
    """Why somebody may not let somebody else vote for them; None where they may."""
    rules, giver, taker = course.request.rules, what.person, what.delegate
    who = giver.id
    if not what.standing and (unknown := _unknown(what)):
        return unknown
    if not rules.delegation:
        return Refusal(Code.NOT_PERMITTED, "the rules of this request allow no delegation")
    if giver.key == taker.key:
        return Refusal(Code.DELEGATION_CHAIN, f"{who} cannot stand in for themselves")
    if what.ends <= max(what.starts, course.now):
        return Refusal(Code.BAD_TIME, "it would end before it starts")
    if not _has_a_right(course, giver):
        return Refusal(Code.NOT_AN_APPROVER, f"{who} has no right to vote that could be delegated")
    asker = course.request.requester_person.key
    if asker in {giver.key, taker.key} and any(stage.two_pairs_of_eyes for stage in rules.in_order):
        return Refusal(Code.REQUESTER, "the requester neither gives nor takes a right to vote")
    if any(
        giver.key == one.delegate.key or taker.key == one.person.key for one in course.delegations
    ):
        return Refusal(Code.DELEGATION_CHAIN, "who acts for somebody delegates nothing further")
    if any(one.by.key == giver.key for one, _ in course.all_votes):
        return Refusal(Code.VOTED_ALREADY, f"{who} has voted already")
    return None


def why_not_broken(course: Course, what: BrokenGlass) -> Refusal | None:
    """Why somebody may not approve alone; None where they may."""
    glass, who = course.request.rules.break_glass, what.actor.id
    if unknown := _unknown(what):
        return unknown
    if glass is None or not matches(glass.by, what.person):
        return Refusal(Code.NOT_PERMITTED, f"the rules do not let {who} approve alone")
    if not glass.requester and what.person.key == course.request.requester_person.key:
        return Refusal(Code.REQUESTER, f"{who} made the request")
    if glass.methods and what.actor.method not in glass.methods:
        return Refusal(
            Code.WRONG_METHOD,
            f"it came by {what.actor.method}, and the rules demand {', '.join(glass.methods)}",
        )
    if len(what.reason.strip()) < _SHORTEST_REASON:
        return Refusal(Code.NO_REASON, f"a reason of {_SHORTEST_REASON} characters is needed")
    return None


def why_not_changed(  # noqa: PLR0911 - one line a rule
    course: Course, what: EvidenceChanged | RulesChanged
) -> Refusal | None:
    """Why somebody may not change what is asked; None where they may."""
    request, who = course.request, what.actor.id
    if unknown := _unknown(what, system=isinstance(what, EvidenceChanged)):
        return unknown
    if request.simple:
        # version 0.2 would go on counting votes on what was shown before
        return Refusal(Code.NOT_PERMITTED, "a request of the simple form is asked anew instead")
    if isinstance(what, EvidenceChanged):
        if what.person.key != request.requester_person.key:
            return Refusal(Code.NOT_PERMITTED, f"{who} did not make the request")
        return None
    if not matches(request.rules.changed_by, what.person):
        return Refusal(Code.NOT_PERMITTED, f"the rules do not let {who} change them")
    if what.rules.simple:
        return Refusal(Code.NOT_PERMITTED, "rules of the simple form are asked anew instead")
    if what.deadline <= course.now:
        return Refusal(Code.BAD_TIME, "its new deadline has passed")
    return None


def _has_a_right(course: Course, person: Person) -> bool:
    stages = course.request.rules.in_order[course.stage :]
    if person.id.startswith(SYSTEM):
        return False
    return any(
        not stage.of or matches(stage.of, person) or matches(course.granted, person)
        for stage in stages
    )


def _unknown(
    what: Retracted | Delegated | EvidenceChanged | RulesChanged | BrokenGlass,
    *,
    system: bool = False,
) -> Refusal | None:
    if what.actor.method == "anonymous":
        return Refusal(Code.ANONYMOUS, "nobody is known to have done it: anonymous is refused")
    if what.actor.method == "system" and not system:
        return Refusal(Code.NOT_A_PERSON, f"{what.actor.id} is no person")
    return None
