"""What a token may do beyond its scope's verbs: whose work, whose word, whose vote.

A worker is believed about its work, never about people: it cannot vote, cannot decide, and cannot
write audit entries in the name of the ledger. Its sign-off requests and deadlines are therefore
not appended as they came, but asked and settled by the service itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from backbeat.errors import Conflict, InvalidData, Refused, RetryableError
from backbeat.identity import Actor
from backbeat.ledger.wire import Verb
from backbeat.ports import AuditFact, Claim, Ledger, Message
from backbeat.runner.run import work_key
from backbeat.service.credentials import Scope, Token
from backbeat.signoff import open_request, read_request
from backbeat.signoff.request import Request

__all__ = ["check_scope", "perform"]

_SIGNOFF = "signoff"
# entries with these actions are written by the ledger, the sign-off rules or the service
_RESERVED = frozenset({"ledger", "run", _SIGNOFF, "token"})
# methods that mean that somebody was authenticated elsewhere than on the worker
_BEYOND_A_WORKER = frozenset({"oidc", "slack", "token"})
# topics of what is sent to people: in the name of a sign-off a worker could fish for their votes
_TO_PEOPLE = frozenset({"notify", _SIGNOFF})
# what `ledger.owner` writes: a holder of another form would break whoever asks if it still lives
_PROCESS = re.compile(r".+/[0-9]+/\w+")


def check_scope(token: Token, verb: Verb) -> None:
    """Refuse a verb that the token's scope does not have.

    Raises:
        Refused: Names the scope that is needed and the one that was given.
    """
    if verb not in token.scope.verbs:
        needed = next(scope for scope in Scope if verb in scope.verbs)
        raise Refused(
            f"the ledger's {verb} needs a token of scope {needed}, and {token.id} has scope "
            f"{token.scope}",
            hint=f"issue one with `backbeat token issue --scope {needed}`",
        )


def perform(token: Token, verb: Verb, arguments: Mapping[str, Any], ledger: Ledger) -> Any:
    """Do what a call asks for, where the token may ask for it.

    Raises:
        Refused: The token may not; nothing was changed.
        BackbeatError: Whatever the ledger raises.
    """
    if verb in {"claim", "deny"}:
        _check_claim(token, arguments["claim"])
    elif verb in {"heartbeat", "finish"}:
        _check_key(token, arguments["key"], ledger)
    elif verb == "acquire":
        _check_process(arguments["holder"].rpartition("|")[2])
    elif verb == "append":
        if arguments["category"] == _SIGNOFF or arguments["stream"].startswith(f"{_SIGNOFF}/"):
            return _signoff(token, arguments, ledger)
        _check_facts(arguments["audit"])
        _check_messages(arguments["messages"])
    for part in ("claim", "ending"):
        if part in arguments:
            _check_messages(arguments[part].messages)
    return getattr(ledger, verb)(**arguments)


def _check_claim(token: Token, claim: Claim) -> None:
    _check_workflow(token, claim.identity.workflow)
    if token.workflow is not None:
        # else it could stand in the way of another workflow's work under that work's key
        expected = work_key(claim.identity, claim.step_digest, claim.inputs)
        if claim.key != expected:
            raise Refused(
                f"the key {claim.key[:19]} is not that of the work that it is claimed for",
                hint="let worker and service run the same version of backbeat",
            )
    _check_actors([claim.identity.actor])
    _check_process(claim.owner)


def _check_messages(messages: Iterable[Message]) -> None:
    for message in messages:
        if message.topic.partition(".")[0] in _TO_PEOPLE:
            raise Refused(
                f"a worker cannot send a message of the topic {message.topic}",
                hint="let the service send it: it does so with what it tells of",
            )


def _check_key(token: Token, key: str, ledger: Ledger) -> None:
    if token.workflow is not None and (record := ledger.run(key)) is not None:
        _check_workflow(token, record.identity["workflow"])


def _check_workflow(token: Token, workflow: str) -> None:
    if token.workflow not in {None, workflow}:
        raise Refused(
            f"the token {token.id} is for the workflow {token.workflow}, not for {workflow}",
            hint="issue a token for that workflow, or one without a workflow",
        )


def _check_actors(actors: Iterable[Actor]) -> None:
    for actor in actors:
        if actor.method in _BEYOND_A_WORKER:
            raise Refused(
                f"a worker cannot vouch for an actor by {actor.method}",
                hint="let people act through the command line or the service itself",
            )


def _check_process(owner: str) -> None:
    if not _PROCESS.fullmatch(owner):
        raise InvalidData(
            "the holder of a lease is not named <host>/<process>/<start>",
            hint="let worker and service run the same version of backbeat",
        )


def _check_facts(facts: Iterable[AuditFact]) -> None:
    for fact in facts:
        if fact.action.partition(".")[0] in _RESERVED:
            raise Refused(
                f"a worker cannot write the audit entry {fact.action}",
                hint="let the ledger write it: it does so with what it tells of",
            )
    _check_actors(fact.actor for fact in facts)


def _signoff(token: Token, arguments: Mapping[str, Any], ledger: Ledger) -> int:
    stream, kinds = arguments["stream"], [kind for kind, _ in arguments["additions"]]
    if kinds == ["requested"]:
        request = _request(stream, arguments["additions"][0][1])
        if not request.workflow.startswith(f"{token.workflow}/"):
            _check_workflow(token, request.workflow)
        _check_actors([request.requester])
        if open_request(ledger, request).request == request:
            return 1
        raise _moved_on(stream)
    if kinds == ["decided"]:
        # the rules decide by the service's clock; what they make of it is on record then
        state = read_request(ledger, stream.removeprefix(f"{_SIGNOFF}/"))
        if state.decision is not None:
            raise _moved_on(stream)
        left = (state.request.deadline - datetime.now(UTC)).total_seconds()
        raise RetryableError(
            f"the rules have not decided {stream}, and a worker cannot",
            hint="wait for the votes, or for the deadline by the service's clock",
            retry_after=max(1.0, left),
        )
    raise Refused(
        "a worker's token cannot vote, nor write anything else about a vote",
        hint="vote with `backbeat signoff` where the ledger itself can be reached",
    )


def _request(stream: str, body: Mapping[str, Any]) -> Request:
    hint = "let worker and service run the same version of backbeat"
    try:
        request = Request.model_validate(body)
    except ValidationError as error:
        raise InvalidData("this is no sign-off request", hint=hint) from error
    if stream != f"{_SIGNOFF}/{request.request_id}":
        raise InvalidData(f"{stream} is not the stream of {request.request_id}", hint=hint)
    return request


def _moved_on(stream: str) -> Conflict:
    return Conflict(f"{stream} has moved on", hint="read it again and decide again")
