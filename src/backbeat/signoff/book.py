"""Requests in the ledger: asked once, settled by whoever looks first, withdrawn, listed."""

from __future__ import annotations

from contextlib import suppress

from backbeat.canonical import canonical_bytes
from backbeat.errors import Conflict, InvalidData
from backbeat.identity import Actor
from backbeat.ports import Ledger
from backbeat.signoff.counting import Code, Refusal
from backbeat.signoff.decision import Course
from backbeat.signoff.directory import people_of
from backbeat.signoff.messages import requested
from backbeat.signoff.people import Directory, person_of
from backbeat.signoff.request import Decision, Request
from backbeat.signoff.state import State, state_of
from backbeat.signoff.stream import (
    CATEGORY,
    Clock,
    fact,
    find_course,
    load,
    now_utc,
    record,
    refuse,
    repeated,
    stream_of,
)
from backbeat.signoff.timetable import next_due

__all__ = ["open_request", "read_request", "requests", "settled", "withdraw"]

_WITHDRAWN = Actor(id="system:withdrawn", method="system")
_MOST_BYTES = 1_000_000


def open_request(ledger: Ledger, request: Request, *, directory: Directory | None = None) -> State:
    """Ask, unless the very same was asked already; returns the state either way.

    Args:
        ledger: Where it will live.
        request: What is asked.
        directory: Who people are; the ledger's own directory if not given.

    Raises:
        InvalidData: It is longer than people can read, or has no JSON form; nothing was asked.
    """
    if find_course(ledger, request.request_id) is None:
        _check_size(request)
        request = _asked_by_a_person(ledger, request, directory)
        with suppress(Conflict):  # a second attempt asked the same at the same moment
            ledger.append(
                stream_of(request.request_id),
                [("requested", request.stored())],
                category=CATEGORY,
                expected=0,
                state="open",
                due=next_due(request, ()),
                audit=[fact("signoff.request", request, request.requester)],
                messages=requested(Course(request)),
            )
    return read_request(ledger, request.request_id)


def read_request(ledger: Ledger, request_id: str, *, clock: Clock = now_utc) -> State:
    """A request as it stands; past its deadline the default is recorded first.

    Args:
        ledger: Where it lives.
        request_id: Its id.
        clock: Says what time it is, UTC; along a request it never goes back.

    Raises:
        NotFound: There is no such request.
        LedgerIncompatible: A later version has written what is not understood here.
    """
    return repeated(lambda: state_of(settled(ledger, request_id, clock)))


def settled(ledger: Ledger, request_id: str, clock: Clock) -> Course:
    """A request's course now, with the default on record where its deadline has passed.

    Raises:
        NotFound: There is no such request.
        Conflict: Somebody else has appended at the same moment; look again.
    """
    course = load(ledger, request_id)
    course.advance(clock())
    if course.decision is not None and not course.recorded:
        record(ledger, course, [], [])
    return course


def withdraw(
    ledger: Ledger, request_id: str, *, actor: Actor | None = None, clock: Clock = now_utc
) -> State:
    """Reject an open request that nobody waits for any more, so that no vote on it is in vain.

    Args:
        ledger: Where the request lives.
        request_id: The request; one that is decided stays as it is.
        actor: The person who does so, which only the requester may; a workflow whose task was
            cleared or has gone does it without one.
        clock: Says what time it is, UTC.

    Raises:
        NotFound: There is no such request.
        Refused: Somebody else wants to withdraw it; the refusal is on record.
    """

    def attempt() -> State:
        course = settled(ledger, request_id, clock)
        if course.decision is None:
            by: tuple[str, ...] = (_WITHDRAWN.id,)
            if actor is not None:
                person = person_of(people_of(ledger), actor)
                if person.key != course.request.requester_person.key:
                    why = f"{actor.id} did not make the request"
                    refuse(
                        ledger,
                        "signoff.withdraw",
                        course,
                        actor,
                        Refusal(Code.NOT_PERMITTED, why),
                    )
                by = (_WITHDRAWN.id, actor.id)
            decision = Decision(choice="reject", by=by, at=course.now)
            course.apply(decision)
            audit = fact("signoff.decide", course, actor or _WITHDRAWN, choice="reject")
            record(ledger, course, [decision], [audit])
        return state_of(course)

    return repeated(attempt)


def requests(ledger: Ledger, *, state: str | None = None, clock: Clock = now_utc) -> list[State]:
    """Requests, newest first; `state` is `open`, `approved` or `rejected`."""
    found = [
        read_request(ledger, info.stream.removeprefix(f"{CATEGORY}/"), clock=clock)
        for info in ledger.streams(CATEGORY)
        # one that is open may be decided by now, and what is decided stays so
        if state is None or info.state in {"open", state}
    ]
    return [item for item in found if state is None or item.name == state]


def _check_size(request: Request) -> None:
    try:
        request.evidence_digest  # noqa: B018 - what JSON cannot say must not be voted on
        size = len(canonical_bytes(request.described()))
    except ValueError as error:
        raise InvalidData(
            f"the sign-off request {request.request_id} cannot be written: {error}",
            hint="say NaN and infinities as null or as text",
        ) from error
    if size > _MOST_BYTES:
        raise InvalidData(
            f"the sign-off request {request.request_id} is {size} bytes long, and at most "
            f"{_MOST_BYTES} are shown to people",
            hint="show a summary, and link to the rest with its digest",
        )


def _asked_by_a_person(ledger: Ledger, request: Request, directory: Directory | None) -> Request:
    """The request with who is behind the requester, where the id alone does not say it."""
    if request.asked_by is not None:
        return request
    person = person_of(directory or people_of(ledger), request.requester)
    if person.key == request.requester_person.key:
        return request
    return request.model_copy(update={"asked_by": person})
