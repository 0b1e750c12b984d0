"""Whether a vote counts: each rule has its code for programs and its sentence for people."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from backbeat.signoff.people import SYSTEM, Person, matches
from backbeat.signoff.request import Vote
from backbeat.signoff.text import name_key

if TYPE_CHECKING:
    from backbeat.signoff.decision import Course

__all__ = ["Code", "Refusal", "whose_rights", "why_not"]


class Code(StrEnum):
    """Why something was refused; no two causes share one."""

    ANONYMOUS = "anonymous"
    NOT_A_PERSON = "not_a_person"
    STALE_EVIDENCE = "stale_evidence"
    AFTER_DEADLINE = "after_deadline"
    AFTER_DECISION = "after_decision"
    NOT_AN_APPROVER = "not_an_approver"
    MAY_ONLY_VETO = "may_only_veto"
    WRONG_METHOD = "wrong_method"
    REQUESTER = "requester"
    ACTS_FOR_REQUESTER = "acts_for_requester"
    ACTS_FOR_A_VOTER = "acts_for_a_voter"
    VOTED_ALREADY = "voted_already"
    VOTED_IN_ANOTHER_STAGE = "voted_in_another_stage"
    RIGHT_USED = "right_used"
    NO_DELEGATION = "no_delegation"
    DELEGATION_CHAIN = "delegation_chain"
    BAD_ANSWER = "bad_answer"
    BAD_TEXT = "bad_text"
    NO_REASON = "no_reason"
    NOT_PERMITTED = "not_permitted"
    NO_VOTE = "no_vote"
    BAD_TIME = "bad_time"
    UNKNOWN_REQUEST = "unknown_request"


class Refusal(NamedTuple):
    """What the rules say against something."""

    code: Code
    why: str


def why_not(course: Course, vote: Vote) -> Refusal | None:
    """Why a vote does not count as things stand; None where it does."""
    for rule in _RULES:
        found = rule(course, vote)
        if found is not None:
            return found
    return None


def whose_rights(course: Course, person: Person) -> list[Person]:
    """Whose right somebody could vote with now: first their own, then those delegated to them."""
    rights = [person, *(one.person for one in course.delegations_to(person))]
    return [right for right in rights if _eligible(course, right)]


def _eligible(course: Course, person: Person) -> bool:
    if person.id.startswith(SYSTEM):
        return False
    selectors = course.open_stage.of
    granted = matches(course.granted, person)
    return not selectors or granted or matches(selectors, person)


def _known(_: Course, vote: Vote) -> Refusal | None:
    if vote.actor.method == "anonymous":
        return Refusal(Code.ANONYMOUS, "nobody is known to have cast it: anonymous is refused")
    if vote.actor.method == "system" or vote.by.id.startswith(SYSTEM):
        return Refusal(Code.NOT_A_PERSON, f"{vote.actor.id} is no person, and people decide")
    return None


def _current(course: Course, vote: Vote) -> Refusal | None:
    if vote.evidence_digest != course.digest:
        return Refusal(
            Code.STALE_EVIDENCE, "it is bound to other evidence than what the request shows now"
        )
    if course.now >= course.request.deadline:
        return Refusal(Code.AFTER_DEADLINE, "the deadline has passed")
    return None


def _right(course: Course, vote: Vote) -> Refusal | None:
    stage, who = course.open_stage, vote.actor.id
    if vote.choice == "reject" and matches(stage.veto, vote.by) and vote.for_person is None:
        return None
    right = course.right_of(vote)
    if right is None:
        return Refusal(
            Code.NO_DELEGATION, f"{who} holds no delegation of {vote.for_person} that is valid now"
        )
    if not _eligible(course, right):
        if matches(stage.veto, right):
            return Refusal(Code.MAY_ONLY_VETO, f"{who} may veto here, and not approve")
        return Refusal(Code.NOT_AN_APPROVER, f"{who} is not among the approvers")
    return None


def _door(course: Course, vote: Vote) -> Refusal | None:
    methods = course.open_stage.methods
    if methods and vote.actor.method not in methods:
        return Refusal(
            Code.WRONG_METHOD,
            f"it came by {vote.actor.method}, and the rules demand {', '.join(methods)}",
        )
    return None


def _requester(course: Course, vote: Vote) -> Refusal | None:
    if not course.open_stage.two_pairs_of_eyes:
        return None
    who, asker = vote.actor.id, course.request.requester_person.key
    if asker in {vote.by.key, name_key(vote.for_person or vote.by.id)}:
        return Refusal(Code.REQUESTER, f"{who} made the request, and four eyes are demanded")
    if asker in course.acts_with(vote):
        return Refusal(
            Code.ACTS_FOR_REQUESTER, f"{who} and the requester act for one another: not four eyes"
        )
    return None


def _once(course: Course, vote: Vote) -> Refusal | None:
    who = vote.actor.id
    hand = vote.by.key
    right = name_key(vote.for_person) if vote.for_person else hand
    here = course.votes_here
    if any(hand == other.by.key for other in here):
        return Refusal(Code.VOTED_ALREADY, f"{who} has voted already")
    for other in here:
        used = {other.by.key, name_key(other.for_person or other.by.id)}
        if used & {hand, right}:
            return Refusal(
                Code.RIGHT_USED, f"the right of {who} was used by {other.actor.id} already"
            )
    if not course.open_stage.two_pairs_of_eyes:
        return None
    circle = course.acts_with(vote)
    for other, elsewhere in course.all_votes:
        if circle & {other.by.key, name_key(other.for_person or other.by.id)}:
            if elsewhere:
                return Refusal(
                    Code.VOTED_IN_ANOTHER_STAGE,
                    f"{who}, or somebody who acts with them, has voted in another stage, and four "
                    "eyes are demanded",
                )
            return Refusal(
                Code.ACTS_FOR_A_VOTER,
                f"{who} and {other.actor.id}, who has voted, act for one another: not four eyes",
            )
    return None


def _answers(course: Course, vote: Vote) -> Refusal | None:
    form = course.request.form
    if form is None:
        wrong = "there is no form to fill in" if vote.answers else None
    else:
        wrong = form.wrong(vote.answers, whole=vote.choice == "approve")
    return None if wrong is None else Refusal(Code.BAD_ANSWER, f"the form: {wrong}")


_RULES: tuple[Callable[[Course, Vote], Refusal | None], ...] = (
    _known,
    _current,
    _right,
    _door,
    _requester,
    _once,
    _answers,
)
