"""One vote: who it is, whose right it uses, whether it counts; recorded or refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from backbeat.canonical import canonical_bytes
from backbeat.errors import NotFound, Refused
from backbeat.identity import Actor
from backbeat.ports import AuditFact, Ledger
from backbeat.signoff.book import settled
from backbeat.signoff.counting import Code, Refusal, whose_rights
from backbeat.signoff.decision import Course
from backbeat.signoff.directory import people_of
from backbeat.signoff.events import Delegated
from backbeat.signoff.people import Directory, Person, matches, person_of
from backbeat.signoff.request import Choice, Vote
from backbeat.signoff.standing import standing_delegations
from backbeat.signoff.state import State, state_of
from backbeat.signoff.stream import (
    CATEGORY,
    Clock,
    fact,
    now_utc,
    record,
    refuse,
    repeated,
    stream_of,
)
from backbeat.signoff.text import writable

__all__ = ["course_for", "vote"]

_LONGEST = {"reason": 4000, "meaning": 300, "printed_name": 300, "for_person": 256}
_LONGEST |= {"claimed_by": 300, "delivery": 200}
_MOST_ANSWER_BYTES = 200_000


def vote(
    ledger: Ledger,
    request_id: str,
    *,
    choice: Choice,
    actor: Actor,
    evidence_digest: str,
    reason: str = "",
    clock: Clock = now_utc,
    directory: Directory | None = None,
    **more: Any,
) -> State:
    """Cast one vote: the call behind the command line, the services and scripts.

    Args:
        ledger: Where the request lives.
        request_id: The request.
        choice: `approve` or `reject`.
        actor: Who votes, and how that is known.
        evidence_digest: The digest of what the voter was shown.
        reason: In the voter's words; only a commitment to it enters the audit log.
        clock: Says what time it is, UTC.
        directory: Who people are; the ledger's own directory if not given.
        more: As in `Vote`: `meaning`, `printed_name`, `for_person` (whose delegated right is used;
            found if not given), `answers`, `claimed_by`, and `delivery` (the same one again changes
            nothing and is no error).

    Returns:
        The request's state with the vote in it, and the decision if the vote made one.

    Raises:
        NotFound: There is no such request; the attempt is on record.
        Refused: The rules do not count this vote; the refusal is on record, nothing else changed.
    """
    given: dict[str, Any] = {name: value for name, value in more.items() if value}

    def attempt() -> State:
        course = course_for(ledger, request_id, clock, "signoff.vote", actor)
        people = directory or people_of(ledger)
        person = person_of(people, actor)
        if _delivered(course, person, given.get("delivery")):
            return state_of(course)
        copied: list[Delegated] = []
        word: Vote | Refusal | None = _bad_text(actor, {"reason": reason, **given})
        if word is None:
            if course.decision is None:
                copied = standing_delegations(course, people, person, course.now)
                for one in copied:
                    course.apply(one)
            word = _word(
                course,
                person,
                given,
                choice=choice,
                actor=actor,
                evidence_digest=evidence_digest,
                reason=reason,
            )
        refusal = course.refusal(word) if isinstance(word, Vote) else word
        if refusal is not None or not isinstance(word, Vote):
            assert refusal is not None  # noqa: S101 - what is no vote is a refusal
            refuse(ledger, "signoff.vote", course, actor, refusal, reason=reason, choice=choice)
        audit = fact("signoff.vote", course, actor, reason, choice=choice)
        course.apply(word)
        record(ledger, course, [*copied, word], [audit])
        return state_of(course)

    return repeated(attempt)


def _word(course: Course, person: Person, given: dict[str, Any], **cast: Any) -> Vote | Refusal:
    """The vote as it would be recorded; what it leaves open is what the voter can only mean."""
    found = dict(given)
    if person.printed_name:
        found.setdefault("printed_name", person.printed_name)
    if cast["choice"] == "approve" or not matches(course.open_stage.veto, person):
        rights = [right.id for right in whose_rights(course, person)]
        if rights and person.id not in rights:
            found.setdefault("for_person", rights[0])
    try:
        return Vote(
            **cast,
            at=course.now,
            person=None if person == Person(id=cast["actor"].id) else person,
            **found,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return Refusal(Code.BAD_TEXT, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def course_for(ledger: Ledger, request_id: str, clock: Clock, action: str, actor: Actor) -> Course:
    """The settled course of a request that somebody wants to act on.

    Raises:
        NotFound: There is none, or it was deleted; the attempt is on record.
    """
    try:
        return settled(ledger, request_id, clock)
    except NotFound:
        audit = AuditFact(
            action=action,
            outcome="refused",
            actor=actor.model_copy(update={"id": writable(actor.id)}),
            subject={"request_id": writable(request_id)[:200]},
            facts={"code": str(Code.UNKNOWN_REQUEST)},
        )
        with suppress(Refused):  # a worker's token writes nothing about people
            ledger.append(
                stream_of(request_id[:200]),
                [],
                category=CATEGORY,
                expected=0,
                state="open",
                due=None,
                audit=[audit],
            )
        raise


def _delivered(course: Course, person: Person, delivery: str | None) -> bool:
    return delivery is not None and any(
        one.delivery == delivery and one.by.key == person.key for one in course.votes
    )


def _bad_text(actor: Actor, given: dict[str, Any]) -> Refusal | None:
    if writable(actor.id) != actor.id:
        return Refusal(Code.BAD_TEXT, "the voter's id is no Unicode text")
    for name, longest in _LONGEST.items():
        value = given.get(name) or ""
        if writable(value) != value:
            return Refusal(Code.BAD_TEXT, f"its {name} is no Unicode text")
        if len(value) > longest:
            return Refusal(
                Code.BAD_TEXT, f"its {name} has {len(value)} characters, and {longest} are kept"
            )
    try:
        size = len(canonical_bytes(given.get("answers") or {}))
    except (ValueError, TypeError, RecursionError):
        return Refusal(Code.BAD_ANSWER, "the answers to its form have no JSON form")
    if size > _MOST_ANSWER_BYTES:
        return Refusal(Code.BAD_ANSWER, f"the answers to its form are {size} bytes long")
    return None
