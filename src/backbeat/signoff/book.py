"""Requests and votes in the ledger: append-only, settled by whoever looks first."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from backbeat.errors import Conflict, NotFound, Refused
from backbeat.identity import Actor
from backbeat.ports import AuditFact, Ledger
from backbeat.signoff.request import Choice, Decision, Request, State, Vote, decide, why_not

__all__ = ["open_request", "read_request", "requests", "settle_due", "vote", "withdraw"]

_CATEGORY = "signoff"
_DEADLINE = Actor(id="system:deadline", method="system")
_WITHDRAWN = Actor(id="system:withdrawn", method="system")
_TRIES = 10
_SETTLED_AT_ONCE = 1000
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def open_request(ledger: Ledger, request: Request) -> State:
    """Ask, unless the very same was asked already; returns the state either way."""
    known = _load(ledger, request.request_id)
    if known is None:
        audit = _fact("signoff.request", "ok", request.requester, request)
        with suppress(Conflict):  # a second attempt asked the same at the same moment
            ledger.append(
                _stream(request.request_id),
                [("requested", request.model_dump(mode="json"))],
                category=_CATEGORY,
                expected=0,
                state="open",
                due=request.deadline,
                audit=[audit],
            )
    return read_request(ledger, request.request_id)


def read_request(ledger: Ledger, request_id: str, *, clock: Clock = _now) -> State:
    """A request as it stands; past its deadline the default is recorded first.

    Args:
        ledger: Where it lives.
        request_id: Its id.
        clock: Says what time it is, UTC.

    Raises:
        NotFound: There is no such request.
    """
    for _ in range(_TRIES):
        state = _load(ledger, request_id)
        if state is None:
            raise NotFound(
                f"there is no sign-off request {request_id}", hint="see `backbeat signoff list`"
            )
        if state.decision is not None:
            return state
        decision = decide(state.request, state.votes, clock())
        if decision is None:
            return state
        fact = _fact("signoff.decide", "ok", _DEADLINE, state.request, choice=decision.choice)
        try:
            _append(ledger, state, [("decided", decision)], decision, [fact])
        except Conflict:
            continue  # a vote or another reader was faster: look again
    raise Conflict(f"{request_id} changes faster than it can be read", hint="try again")


def vote(
    ledger: Ledger,
    request_id: str,
    *,
    choice: Choice,
    actor: Actor,
    evidence_digest: str,
    reason: str = "",
    clock: Clock = _now,
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

    Returns:
        The request's state with the vote in it, and the decision if the vote made one.

    Raises:
        NotFound: There is no such request.
        Refused: The rules do not count this vote; the refusal is on record, nothing else changed.
    """
    for _ in range(_TRIES):
        state = read_request(ledger, request_id, clock=clock)
        cast = Vote(
            actor=actor, choice=choice, evidence_digest=evidence_digest, reason=reason, at=clock()
        )
        refusal = (
            f"it was {state.name} by {', '.join(state.decision.by)}"
            if state.decision
            else why_not(state.request, state.votes, cast)
        )
        if refusal is not None:
            fact = _fact("signoff.vote", "refused", actor, state.request, reason, choice=choice)
            _append(ledger, state, [], None, [fact])
            raise Refused(
                f"the vote on {request_id} is refused: {refusal}",
                hint="see `backbeat signoff show` for the rules and the votes",
            )
        votes = (*state.votes, cast)
        decision = decide(state.request, votes, cast.at)
        audit = [_fact("signoff.vote", "ok", actor, state.request, reason, choice=choice)]
        additions: list[tuple[str, Any]] = [("voted", cast)]
        if decision is not None:
            additions.append(("decided", decision))
            audit.append(
                _fact("signoff.decide", "ok", actor, state.request, choice=decision.choice)
            )
        try:
            _append(ledger, state, additions, decision, audit)
        except Conflict:
            continue  # another vote came first: hold this one against the rules again
        return read_request(ledger, request_id, clock=clock)
    raise Conflict(f"{request_id} changes faster than a vote can be cast", hint="vote again")


def withdraw(ledger: Ledger, request_id: str, *, clock: Clock = _now) -> State:
    """Reject an open request that nobody waits for any more, so that no vote on it is in vain.

    Args:
        ledger: Where the request lives.
        request_id: The request; one that is decided stays as it is.
        clock: Says what time it is, UTC.

    Raises:
        NotFound: There is no such request.
    """
    for _ in range(_TRIES):
        state = read_request(ledger, request_id, clock=clock)
        if state.decision is not None:
            return state
        decision = Decision(choice="reject", by=(_WITHDRAWN.id,), at=clock())
        fact = _fact("signoff.decide", "ok", _WITHDRAWN, state.request, choice=decision.choice)
        with suppress(Conflict):  # a vote came first: look what it has made of the request
            _append(ledger, state, [("decided", decision)], decision, [fact])
    raise Conflict(f"{request_id} changes faster than it can be withdrawn", hint="try again")


def requests(ledger: Ledger, *, state: str | None = None, clock: Clock = _now) -> list[State]:
    """Requests, newest first; `state` is `open`, `approved` or `rejected`."""
    found = [
        read_request(ledger, info.stream.removeprefix(f"{_CATEGORY}/"), clock=clock)
        for info in ledger.streams(_CATEGORY)
    ]
    return [item for item in found if state is None or item.name == state]


def settle_due(ledger: Ledger, *, clock: Clock = _now) -> int:
    """Record the default of every open request whose deadline has passed; returns how many."""
    settled = 0
    for info in ledger.due(_CATEGORY, state="open", limit=_SETTLED_AT_ONCE):
        read_request(ledger, info.stream.removeprefix(f"{_CATEGORY}/"), clock=clock)
        settled += 1
    return settled


def _stream(request_id: str) -> str:
    return f"{_CATEGORY}/{request_id}"


def _load(ledger: Ledger, request_id: str) -> State | None:
    events = ledger.read(_stream(request_id))
    if not events:
        return None
    request = Request.model_validate(events[0].body)
    votes = tuple(Vote.model_validate(event.body) for event in events if event.kind == "voted")
    decided = [Decision.model_validate(event.body) for event in events if event.kind == "decided"]
    return State(
        request=request,
        votes=votes,
        decision=decided[0] if decided else None,
        version=events[-1].version,
    )


def _append(
    ledger: Ledger,
    state: State,
    additions: list[tuple[str, Any]],
    decision: Decision | None,
    audit: list[AuditFact],
) -> None:
    after = state.model_copy(update={"decision": decision})
    ledger.append(
        _stream(state.request.request_id),
        [(kind, body.model_dump(mode="json")) for kind, body in additions],
        category=_CATEGORY,
        expected=state.version,
        state=after.name,
        due=state.request.deadline,
        audit=audit,
    )


def _fact(
    action: str, outcome: str, actor: Actor, request: Request, reason: str = "", **facts: str
) -> AuditFact:
    return AuditFact(
        action=action,
        outcome=outcome,
        actor=actor,
        subject={"request_id": request.request_id, "about": request.about},
        facts={"evidence": request.evidence_digest, **facts},
        personal={"reason": reason} if reason else {},
    )
