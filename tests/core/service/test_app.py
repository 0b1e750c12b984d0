from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

import backbeat
from backbeat import embedded, run_step
from backbeat.errors import Conflict, FencedOut, InvalidData, LeaseHeld, NotFound, UnmetNeed
from backbeat.ledger import RemoteLedger, SqliteLedger, open_ledger
from backbeat.ledger.wire import LARGEST_BODY, VERBS
from backbeat.ports import Budget, Claimed, Ending, Recorded
from backbeat.service import LedgerTokens, ledger_app
from backbeat.steps import LogLineage

Make = Callable[..., Any]


@pytest.fixture
def post(service: Any) -> Callable[..., tuple[int, Any, Any]]:
    """Speaks plain HTTP to the service: returns status, JSON and headers."""
    pool = urllib3.PoolManager(ssl_context=ssl.create_default_context())

    def send(
        path: str, token: str | None = None, *, method: str = "POST", body: bytes = b"{}"
    ) -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        said = pool.request(method, service.url + path, body=body, headers=headers, retries=False)
        return said.status, json.loads(said.data) if said.data else None, said.headers

    return send


def test_a_step_runs_without_a_route_to_the_database(
    service: Any, tmp_path: Path, attempt: Make, rows: Make
) -> None:
    """Claimed, performed, finished and replayed over HTTPS, as with a ledger of one's own."""
    platform = embedded(tmp_path, ledger=service.url, ledger_token=service.token(), registry=False)
    run = attempt(run="over-https")
    done = run_step(LogLineage(), run, platform)
    assert run_step(LogLineage(), run.model_copy(update={"attempt": 2}), platform) == done
    (record,) = [item for item in platform.ledger.runs() if item.identity["run"] == "over-https"]
    assert (record.state, record.token) == ("done", 1)
    assert record.outcome == done.model_dump(mode="json")
    assert len(platform.ledger.attempts(record.key)) == 1
    mine = f'%"key":"{record.key}"%'
    entries = "SELECT action FROM backbeat_audit_log WHERE CAST(body AS TEXT) LIKE ?"
    found = [row["action"] for row in rows(service.file, entries, mine)]
    assert found == ["run.start", "run.finish"]
    assert not (tmp_path / "ledger.db").exists()


def test_a_zombie_behind_the_service_writes_nothing(
    service: Any, claim_of: Make, done: Ending, work: str, rows: Make
) -> None:
    """Once a later attempt holds the lease, heartbeat and finish of the first are FencedOut."""
    first, second = service.remote(), service.remote()
    old = first.claim(claim_of(lease_seconds=0.05))
    assert isinstance(old, Claimed)
    new = old
    while new.token == old.token:
        try:
            new = second.claim(claim_of())
        except LeaseHeld:
            continue
    with pytest.raises(FencedOut) as caught:
        first.finish(work, old.token, done)
    assert caught.value.hint == "look at the newer attempt with `backbeat runs show`"
    with pytest.raises(FencedOut):
        first.heartbeat(work, old.token, lease_seconds=60)
    second.finish(work, new.token, done)
    record = second.run(work)
    assert record is not None
    assert (record.state, record.token) == ("done", 2)


def test_an_error_keeps_its_class_its_hint_and_its_time(
    remote_ledger: RemoteLedger, service: Any, claim_of: Make, work: str
) -> None:
    """The worker raises what a ledger in its own process would have raised."""
    own = SqliteLedger(service.file)
    remote_ledger.claim(claim_of(lease_seconds=30))
    for ledger in (own, remote_ledger):
        with pytest.raises(LeaseHeld) as held:
            ledger.claim(claim_of())
        assert held.value.hint == "let it finish, or wait until its lease has ended"
        assert 25 < (held.value.retry_after or 0) <= 30
        with pytest.raises(Conflict) as other:
            ledger.claim(claim_of(step_digest="sha256:other"))
        assert "sha256:step" in other.value.message
        with pytest.raises(NotFound, match="knows no piece of work"):
            ledger.finish(f"{work}-never", 1, Ending("done", {}))
    fields: dict[str, Any] = {"category": "c", "state": "open", "due": None, "audit": []}
    assert remote_ledger.append(work, [("a", {"n": 1})], expected=0, **fields) == 1
    with pytest.raises(Conflict, match="has moved on to version 1 from 0") as moved:
        remote_ledger.append(work, [("b", {})], expected=0, **fields)
    assert moved.value.hint == "read it again and decide again"
    assert [(event.kind, event.body) for event in remote_ledger.read(work)] == [("a", {"n": 1})]


def test_a_repeated_call_changes_nothing(
    remote_ledger: RemoteLedger, claim_of: Make, done: Ending, work: str
) -> None:
    """The same claim gets the same lease, the same ending is recorded once, a Done is replayed."""
    claim = claim_of()
    assert remote_ledger.claim(claim) == remote_ledger.claim(claim)
    remote_ledger.finish(work, 1, done)
    remote_ledger.finish(work, 1, done)
    assert remote_ledger.claim(claim_of()) == Recorded({"status": "done"})
    assert [item.ending for item in remote_ledger.attempts(work)] == ["done"]


def test_a_lock_is_one_for_all_workers(service: Any, work: str) -> None:
    """A named lease taken through the service excludes the others until it is given back."""
    one, other = service.remote(), service.remote()
    with one.lock(work, owner="a", seconds=30):
        with pytest.raises(LeaseHeld), other.lock(work, owner="b", seconds=30):
            pytest.fail("two hold it")
        with pytest.raises(LeaseHeld), SqliteLedger(service.file).lock(work, owner="c", seconds=1):
            pytest.fail("two hold it")
    with other.lock(work, owner="b", seconds=30):
        pass


def test_a_budget_is_one_for_all_workers(service: Any, work: str) -> None:
    """What one worker spent, another cannot."""
    budget = Budget(work, capacity=3)
    assert service.remote().spend(budget, cost=2)
    assert not service.remote().spend(budget, cost=2)
    assert service.remote().spend(budget, cost=2, earned=1)


def test_messages_leave_through_the_services_own_sinks(
    service: Any, remote_ledger: RemoteLedger, claim_of: Make
) -> None:
    """A worker that asks for a drain needs no sink: the service's store gets the lineage."""
    from backbeat.ports import Message

    body = {"eventType": "START", "eventTime": "2026-11-22T02:00:00Z", "run": {"runId": "r"}}
    body |= {"job": {"namespace": "n", "name": "from-afar"}}
    remote_ledger.claim(claim_of(messages=[Message("from-afar", "openlineage", body)]))
    remote_ledger.drain({}, limit=100)
    lineage = [path.read_text() for path in service.folder.rglob("lineage/**/*.json")]
    assert any("from-afar" in text for text in lineage)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
@pytest.mark.parametrize(
    "path", ["/", "/docs", "/health/", "/ledger/v1/", "/ledger/v2/claim", "/ledger/v1/nothing"]
)
def test_anonymous_is_refused_everywhere(post: Make, method: str, path: str) -> None:
    """Without a token nobody learns so much as which routes there are."""
    status, said, headers = post(path, method=method)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert said is None or said["error"] == "Refused"


@pytest.mark.parametrize("verb", VERBS)
def test_anonymous_calls_no_verb(post: Make, service: Any, ledger_dump: Make, verb: str) -> None:
    """Each verb of the port is refused without a token, and nothing is written."""
    before = ledger_dump(service.file)
    status, said, _ = post(f"/ledger/v1/{verb}")
    assert (status, said["error"]) == (401, "Refused")
    assert "token" in said["hint"]
    assert ledger_dump(service.file) == before


def test_health_says_only_that_it_is_well(post: Make) -> None:
    """A probe needs no token, and learns the version and nothing else."""
    status, said, headers = post("/health", method="GET", body=b"")
    assert (status, said) == (200, {"status": "ok", "version": backbeat.__version__})
    assert "server" not in {name.lower() for name in headers}
    assert post("/health")[0] == 405


def test_an_unknown_route_is_named_to_who_may_come_in(post: Make, service: Any) -> None:
    """With a token, a wrong path or verb says what there is."""
    token = service.token()
    assert post("/nothing", token)[:2] == (
        404,
        NotFound("there is nothing at /nothing", hint="POST to /ledger/v1/<verb>").as_json(),
    )
    status, said, _ = post("/ledger/v1/lock", token)
    assert (status, said["error"]) == (404, "NotFound")
    assert said["hint"].startswith("its verbs are acquire, append")
    assert post("/ledger/v1/claim", token, method="GET")[0] == 405


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[1]", b'{"key": 3}'])
def test_a_body_that_is_no_call_changes_nothing(
    post: Make, service: Any, ledger_dump: Make, body: bytes
) -> None:
    """What does not decode is 422 with a reason, before it reaches the ledger."""
    token = service.token()
    before = ledger_dump(service.file)
    status, said, _ = post("/ledger/v1/finish", token, body=body)
    assert (status, said["error"]) == (422, "InvalidData")
    assert ledger_dump(service.file) == before


def test_a_body_that_is_too_large_is_not_read(post: Make, service: Any) -> None:
    """More than 1 MiB is 413, with where large things belong."""
    status, said, _ = post("/ledger/v1/finish", service.token(), body=b"x" * (LARGEST_BODY + 1))
    assert (status, said["error"]) == (413, "InvalidData")
    assert "in the store" in said["hint"]


def test_a_lease_without_end_is_invalid(
    remote_ledger: RemoteLedger, claim_of: Make, work: str
) -> None:
    """A length that no clock can add is the caller's error, not the service's."""
    with pytest.raises(InvalidData, match="cannot keep this"):
        remote_ledger.claim(claim_of(lease_seconds=1e300))
    assert remote_ledger.run(work) is None


def test_a_holder_without_a_process_does_not_poison_the_lease(
    remote_ledger: RemoteLedger, claim_of: Make, work: str
) -> None:
    """A holder whose life nobody could ask about is refused, and the next one gets the lease."""
    for owner in ("", "me", "a/b/c", "a/1/2\n"):
        with pytest.raises(InvalidData, match="holder of a lease"):
            remote_ledger.claim(claim_of(owner=owner))
        with pytest.raises(InvalidData, match="holder of a lease"):
            remote_ledger.acquire(work, holder=f"x|{owner}", seconds=1)
    assert isinstance(remote_ledger.claim(claim_of()), Claimed)
    remote_ledger.acquire(work, holder="x|elsewhere/1/1", seconds=1)


def test_secrets_are_nowhere(start_service: Make, tmp_path: Path, claim_of: Make) -> None:
    """Neither ledger, audit log nor output of the service holds a token's secret, used or not."""
    served = start_service()
    texts = [served.token(), served.token("reader"), served.token(days=-1)]
    RemoteLedger(served.url, token=texts[0]).claim(claim_of())
    for text in (texts[1], texts[2], f"{texts[0]}x"):
        with pytest.raises(backbeat.errors.Refused) as caught:
            RemoteLedger(served.url, token=text).claim(claim_of())
        assert text.split(".")[2] not in str(caught.value)
    served.end(15)
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert texts[0].split(".")[1].encode() in everything
    for text in texts:
        assert text.split(".")[2].encode() not in everything


def test_a_ledger_service_needs_a_ledger(tmp_path: Path) -> None:
    """A platform of rung 0 has nothing to serve, and says so."""
    tokens = LedgerTokens(SqliteLedger(tmp_path / "x.db").database)
    with pytest.raises(UnmetNeed, match="a ledger service needs a ledger"):
        ledger_app(embedded(tmp_path, ledger=False), tokens)


def test_the_address_chooses_the_ledger(service: Any) -> None:
    """`open_ledger` with https:// and a token speaks to the service."""
    ledger = open_ledger(service.url, token=service.token("reader"))
    assert isinstance(ledger, RemoteLedger)
    assert ledger.check()["audit_broken"] == []


def test_many_workers_claim_each_work_once(service: Any, work: str, start_python: Make) -> None:
    """Of several processes that want the same work at once, one gets it each time."""
    source = """
import sys
from backbeat import Actor, RunIdentity
from backbeat.errors import LeaseHeld
from backbeat.ledger import RemoteLedger
from backbeat.ports import Claim
url, token, work, me = sys.argv[1:]
ledger = RemoteLedger(url, token=token)
run = RunIdentity(workflow="w", run="r", task="t", actor=Actor(id="me", method="python"))
sys.stdin.readline()
for number in range(20):
    try:
        ledger.claim(Claim(key=f"{work}/{number}", kind="x/v1", identity=run, step={},
            step_digest="d", inputs={}, lease_seconds=60, replay=True,
            owner=f"elsewhere/{me}/1", nonce=f"{me}/{number}"))
    except LeaseHeld:
        continue
    print(number)
"""
    token = service.token()
    workers = [start_python(source, service.url, token, work, me) for me in range(3)]
    said = [worker.communicate("go\n", timeout=60) for worker in workers]
    got = [int(line) for out, _ in said for line in out.splitlines()]
    assert sorted(got) == list(range(20)), [errors for _, errors in said]
