from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backbeat import Actor, embedded, resume_step, run_step
from backbeat.errors import Conflict, InvalidData, Refused, RetryableError
from backbeat.ledger import RemoteLedger, SqliteLedger
from backbeat.ledger.wire import VERBS
from backbeat.ports import AuditFact, Budget, Claim, Claimed, Ending, Message
from backbeat.runner.run import work_key
from backbeat.service import Scope
from backbeat.signoff import read_request, requests, vote
from backbeat.signoff.request import Request, Rules
from backbeat.step import Blocked, Done, Waiting
from backbeat.steps import Signoff

Make = Callable[..., Any]
ANA = Actor(id="ana", method="cli")
FACT = AuditFact("custom.thing", "ok", ANA, {})


@pytest.fixture
def request_of(work: str) -> Callable[..., Request]:
    """Builds a sign-off request that no other test has."""

    def build(**fields: Any) -> Request:
        now = datetime.now(UTC)
        known: dict[str, Any] = {
            "request_id": work.replace(":", "-"),
            "subject": "Ship?",
            "about": {},
            "evidence": {"n": 1},
            "requester": Actor(id="me", method="python"),
            "rules": Rules(quorum=1, four_eyes=False),
            "created": now,
            "deadline": now + timedelta(hours=1),
            "workflow": "nightly/run-1",
        }
        return Request.model_validate({**known, **fields})

    return build


def _ask(ledger: RemoteLedger, request: Request, **fields: Any) -> int:
    known: dict[str, Any] = {
        "category": "signoff",
        "expected": 0,
        "state": "open",
        "due": request.deadline,
        "audit": [],
    }
    additions = [("requested", request.model_dump(mode="json"))]
    return ledger.append(f"signoff/{request.request_id}", additions, **{**known, **fields})


def _decide(ledger: RemoteLedger, request: Request, choice: str) -> int:
    body = {"choice": choice, "by": ["ana"], "at": datetime.now(UTC).isoformat()}
    return ledger.append(
        f"signoff/{request.request_id}",
        [("decided", body)],
        category="signoff",
        expected=1,
        state=f"{choice}d",
        due=request.deadline,
        audit=[],
    )


@pytest.mark.parametrize("verb", ["append", "claim", "finish"])
def test_a_worker_sends_no_notice_to_people(service: Any, claim_of: Make, verb: str) -> None:
    """Who has a worker's token could else write to people in a sign-off's name."""
    worker = service.remote("worker")
    notice = Message("m1", "notify", {"subject": "Your vote is wanted", "link": "https://evil"})
    claim = claim_of()
    calls: dict[str, Callable[[], Any]] = {
        "append": lambda: worker.append(
            "custom/1",
            [("made", {})],
            category="custom",
            expected=0,
            state="open",
            due=None,
            audit=[],
            messages=[notice],
        ),
        "claim": lambda: worker.claim(replace(claim, messages=[notice])),
        "finish": lambda: worker.finish(
            claim.key,
            worker.claim(claim).token,
            Ending(state="done", outcome={"status": "done"}, messages=[notice]),
        ),
    }
    with pytest.raises(Refused, match="the topic notify"):
        calls[verb]()


@pytest.mark.parametrize("verb", sorted(set(VERBS) - Scope.READER.verbs))
def test_a_reader_writes_nothing(service: Any, rows: Make, claim_of: Make, verb: str) -> None:
    """Each verb that could change something is refused, with both scopes named, and on record."""
    reader = service.remote("reader")
    count = "SELECT count(*) AS n FROM backbeat_audit_log WHERE action = ? AND outcome = 'refused'"
    before = rows(service.file, count, f"ledger.{verb}")[0]["n"]
    with pytest.raises(Refused, match=f"{verb} needs a token of scope worker, and") as caught:
        reader._call(verb, **_any_arguments(verb, claim_of()))
    assert "has scope reader" in caught.value.message
    assert rows(service.file, count, f"ledger.{verb}")[0]["n"] == before + 1


def _any_arguments(verb: str, claim: Claim) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = {
        "claim": {"claim": claim},
        "deny": {"claim": claim, "ending": Ending("denied", {})},
        "acquire": {"name": "x", "holder": "h", "seconds": 1},
        "append": {"stream": "s", "additions": [], "category": "c", "expected": 0}
        | {"state": "", "due": None, "audit": []},
        "drain": {"limit": 1},
        "due": {"category": "c", "state": "open", "limit": 1},
        "finish": {"key": "k", "token": 1, "ending": Ending("done", {})},
        "heartbeat": {"key": "k", "token": 1, "lease_seconds": 1},
        "release": {"name": "x", "holder": "h"},
        "spend": {"budget": Budget("b", 1), "cost": 1},
        "watch": {"seconds": 0.1},
    }
    return known[verb]


@pytest.mark.parametrize("scope", Scope)
def test_every_token_may_check(service: Any, scope: Scope) -> None:
    """`doctor` and `test_connection` work on a worker; they see counts, and whose ledger it is."""
    facts = service.remote(scope).check()
    assert facts.pop("ledger") == str(service.file)
    assert datetime.fromisoformat(facts.pop("now")) <= datetime.now(UTC)
    assert facts.pop("audit_broken") == []
    assert all(type(count) is int for count in facts.values())


@pytest.mark.parametrize("category", ["signoff", "other"])
@pytest.mark.parametrize(
    "kinds", [["voted"], ["voted", "decided"], ["requested", "voted"], ["anything"], []]
)
def test_a_worker_cannot_vote(
    service: Any,
    remote_ledger: RemoteLedger,
    request_of: Make,
    rows: Make,
    category: str,
    kinds: list[str],
) -> None:
    """However a vote is wrapped, nothing reaches the request, and the try is on record."""
    request = request_of()
    request = request.model_copy(update={"request_id": f"{request.request_id[:60]}-{id(kinds)}"})
    _ask(remote_ledger, request)
    stream = f"signoff/{request.request_id}"
    body = {"actor": {"id": "ana", "method": "cli"}, "choice": "approve", "reason": ""}
    body |= {"evidence_digest": request.evidence_digest, "at": datetime.now(UTC).isoformat()}
    fact = AuditFact("signoff.vote", "ok", ANA, {"request_id": request.request_id})
    refusals = "SELECT count(*) AS n FROM backbeat_audit_log WHERE action = 'ledger.append'"
    before = rows(service.file, refusals)[0]["n"]
    with pytest.raises(Refused, match="cannot vote"):
        remote_ledger.append(
            stream,
            [(kind, body) for kind in kinds],
            category=category,
            expected=1,
            state="approved",
            due=None,
            audit=[fact],
        )
    assert [event.kind for event in remote_ledger.read(stream)] == ["requested"]
    assert rows(service.file, refusals)[0]["n"] == before + 1
    votes = "SELECT body FROM backbeat_audit_log WHERE action = 'signoff.vote'"
    assert request.request_id not in str(rows(service.file, votes))


def test_a_worker_cannot_vote_through_the_signoff_book(
    remote_ledger: RemoteLedger, request_of: Make
) -> None:
    """The very call that people's channels use is refused behind a worker's token."""
    request = request_of()
    _ask(remote_ledger, request)
    with pytest.raises(Refused, match="cannot vote"):
        vote(
            remote_ledger,
            request.request_id,
            choice="approve",
            actor=ANA,
            evidence_digest=request.evidence_digest,
        )
    assert read_request(remote_ledger, request.request_id).votes == ()


def test_a_worker_cannot_decide_before_the_rules_do(
    service: Any, remote_ledger: RemoteLedger, request_of: Make
) -> None:
    """A forged decision changes nothing; it says when the deadline will decide."""
    request = request_of()
    _ask(remote_ledger, request)
    with pytest.raises(RetryableError, match="the rules have not decided") as caught:
        _decide(remote_ledger, request, "approve")
    assert 3000 < (caught.value.retry_after or 0) <= 3600
    assert read_request(SqliteLedger(service.file), request.request_id).name == "open"


def test_a_worker_cannot_decide_again(
    service: Any, remote_ledger: RemoteLedger, request_of: Make
) -> None:
    """What people have decided, a forged decision at the right version does not overturn."""
    request = request_of()
    _ask(remote_ledger, request)
    own = SqliteLedger(service.file)
    digest = request.evidence_digest
    vote(own, request.request_id, choice="reject", actor=ANA, evidence_digest=digest)
    with pytest.raises(Conflict, match="has moved on"):
        remote_ledger.append(
            f"signoff/{request.request_id}",
            [("decided", {"choice": "approve", "by": ["ana"], "at": "2026-11-22T02:00:00Z"})],
            category="signoff",
            expected=3,
            state="approved",
            due=None,
            audit=[],
        )
    assert [event.kind for event in own.read(f"signoff/{request.request_id}")][1:] == [
        "voted",
        "decided",
    ]
    assert read_request(remote_ledger, request.request_id).name == "rejected"


def test_a_deadline_is_settled_by_the_rules_whatever_the_worker_says(
    service: Any, remote_ledger: RemoteLedger, request_of: Make
) -> None:
    """Past the deadline the default is recorded, though the worker claims an approval."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    request = request_of(deadline=past)
    _ask(remote_ledger, request)
    with pytest.raises(Conflict, match="has moved on"):
        _decide(remote_ledger, request, "approve")
    state = read_request(SqliteLedger(service.file), request.request_id)
    assert state.decision is not None
    assert (state.name, state.decision.by) == ("rejected", ("system:deadline",))


def test_a_worker_settles_an_open_request_after_its_deadline(
    remote_ledger: RemoteLedger, request_of: Make
) -> None:
    """Whoever looks first past the deadline sees the default decided, also from afar."""
    request = request_of(deadline=datetime.now(UTC) - timedelta(seconds=1))
    _ask(remote_ledger, request)
    assert read_request(remote_ledger, request.request_id).name == "rejected"


def test_a_request_is_asked_once(
    service: Any, remote_ledger: RemoteLedger, request_of: Make, rows: Make
) -> None:
    """The same request again changes nothing, another under its id is a conflict."""
    request = request_of()
    assert _ask(remote_ledger, request) == 1
    assert _ask(remote_ledger, request) == 1
    with pytest.raises(Conflict, match="has moved on"):
        _ask(remote_ledger, request.model_copy(update={"subject": "Ship something else?"}))
    asked = "SELECT CAST(body AS TEXT) AS b FROM backbeat_audit_log WHERE action='signoff.request'"
    entries = [json.loads(row["b"]) for row in rows(service.file, asked)]
    mine = [entry for entry in entries if entry["subject"]["request_id"] == request.request_id]
    assert len(mine) == 1


@pytest.mark.parametrize("stream", ["signoff/another", "elsewhere"])
def test_a_request_lies_in_its_own_stream(
    remote_ledger: RemoteLedger, request_of: Make, stream: str
) -> None:
    """A request under another's name, or what is no request, is invalid."""
    body = request_of().model_dump(mode="json")
    fields: dict[str, Any] = {"category": "signoff", "expected": 0, "state": "open", "due": None}
    with pytest.raises(InvalidData, match="is not the stream of"):
        remote_ledger.append(stream, [("requested", body)], **fields, audit=[])
    with pytest.raises(InvalidData, match="no sign-off request"):
        remote_ledger.append(stream, [("requested", {"x": 1})], **fields, audit=[])
    assert remote_ledger.read(stream) == []


def test_people_sign_off_and_the_worker_goes_on(service: Any, tmp_path: Any, attempt: Make) -> None:
    """A worker without a database asks, people vote at the ledger, the worker resumes."""
    platform = embedded(
        tmp_path,
        ledger=service.url,
        ledger_token=service.token(workflow="signing"),
        registry=False,
    )
    own = SqliteLedger(service.file)
    outcomes = []
    for choice in ("approve", "reject"):
        run = attempt(workflow="signing", run=choice)
        waiting = run_step(Signoff(subject="Ship?", quorum=1), run, platform)
        assert isinstance(waiting, Waiting)
        (state,) = [
            item
            for item in requests(platform.ledger, state="open")
            if item.request.request_id == waiting.request_id
        ]
        digest = state.request.evidence_digest
        vote(own, waiting.request_id, choice=choice, actor=ANA, evidence_digest=digest)
        outcomes.append(resume_step(waiting.request_id, platform))
    assert isinstance(outcomes[0], Done)
    assert outcomes[0].value["by"] == ["ana"]
    assert isinstance(outcomes[1], Blocked)


@pytest.mark.parametrize("action", ["run.finish", "signoff.vote", "token.issue", "ledger.claim"])
def test_a_worker_cannot_write_the_ledgers_own_entries(
    remote_ledger: RemoteLedger, work: str, action: str
) -> None:
    """An audit entry that the ledger writes with what it tells of comes from nobody else."""
    fields: dict[str, Any] = {"category": "c", "expected": 0, "state": "x", "due": None}
    forged = AuditFact(action, "ok", ANA, {})
    with pytest.raises(Refused, match=f"cannot write the audit entry {action}"):
        remote_ledger.append(work, [("x", {})], **fields, audit=[FACT, forged])
    assert remote_ledger.read(work) == []
    assert remote_ledger.append(work, [("x", {})], **fields, audit=[FACT]) == 1


@pytest.mark.parametrize("method", ["oidc", "slack", "token"])
def test_a_worker_cannot_vouch_for_people(
    remote_ledger: RemoteLedger,
    claim_of: Make,
    attempt: Make,
    request_of: Make,
    work: str,
    method: str,
) -> None:
    """Nobody becomes an authenticated person by a worker's word."""
    boss = Actor(id="boss", method=method)
    fields: dict[str, Any] = {"category": "c", "expected": 0, "state": "x", "due": None}
    with pytest.raises(Refused, match=f"vouch for an actor by {method}"):
        remote_ledger.claim(claim_of(identity=attempt(actor=boss)))
    with pytest.raises(Refused, match="vouch"):
        remote_ledger.append(work, [], **fields, audit=[AuditFact("c.x", "ok", boss, {})])
    with pytest.raises(Refused, match="vouch"):
        _ask(remote_ledger, request_of(requester=boss))
    assert remote_ledger.run(work) is None


def test_a_token_of_one_workflow_works_for_no_other(
    service: Any, claim_of: Make, attempt: Make, request_of: Make, done: Ending, work: str
) -> None:
    """Claims, denials, heartbeats, endings and requests of another workflow are refused."""
    bound = service.remote(workflow="weekly")
    other = service.remote()
    other.claim(claim_of())
    refused = "for the workflow weekly, not for nightly"
    with pytest.raises(Refused, match=refused):
        bound.claim(claim_of())
    with pytest.raises(Refused, match=refused):
        bound.deny(claim_of(), Ending("denied", {}))
    with pytest.raises(Refused, match=refused):
        bound.heartbeat(work, 1, lease_seconds=60)
    with pytest.raises(Refused, match=refused):
        bound.finish(work, 1, done)
    with pytest.raises(Refused, match="for the workflow weekly, not for nightly/run-1"):
        _ask(bound, request_of())
    assert _ask(bound, request_of(workflow="weekly/run-1")) == 1
    other.finish(work, 1, done)
    identity = attempt(workflow="weekly")
    with pytest.raises(Refused, match="is not that of the work"):
        bound.claim(claim_of(f"{work}-other", identity=identity))
    key = work_key(identity, "sha256:step", {})
    assert isinstance(bound.claim(claim_of(key, identity=identity)), Claimed)
    bound.heartbeat(key, 1, lease_seconds=60)
    bound.finish(key, 1, done)
