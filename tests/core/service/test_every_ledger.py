"""The same promises at the door, whichever ledger keeps the record."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import select, update

from backbeat import Actor, Platform, RunIdentity, Step, embedded, resume_step, run_step
from backbeat.errors import Conflict, FencedOut, LeaseHeld, Refused, StorageFull
from backbeat.ledger import open_ledger
from backbeat.ledger.owner import this_process
from backbeat.ledger.sql import SqlLedger
from backbeat.ledger.tables import audit_log, events, outbox, runs, streams
from backbeat.ledger.times import to_text
from backbeat.ports import (
    AuditFact,
    Budget,
    Claim,
    Claimed,
    Ending,
    Ledger,
    Message,
    Need,
    RunRecord,
)
from backbeat.runner import tick
from backbeat.signoff import read_request, vote
from backbeat.step import Blocked, Done, Outcome, StepContext, Waiting
from backbeat.steps import Signoff

Make = Callable[..., Any]
ELSEWHERE = "another-host/1/1"  # a holder of whom nobody here can know whether it lives
PAST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """One kind of ledger, as a worker and as whoever sits beside the database sees it.

    Args:
        workers: Two platforms of two workers.
        own: The database itself.
        lineage: The folder that the outbox's messages go to.
    """

    workers: tuple[Platform, Platform]
    own: SqlLedger
    lineage: Path

    @property
    def platform(self) -> Platform:
        """The first worker's."""
        return self.workers[0]

    @property
    def ledger(self) -> Ledger:
        """As the first worker sees it."""
        return self.workers[0].ledger


@pytest.fixture(params=["sqlite", "postgres", "remote over sqlite", "remote over postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each kind of ledger. A service's is shared by all tests: each test names its own work."""
    folder = tmp_path / "platform"
    own = address = str(folder / "ledger.db")
    tokens: tuple[str | None, str | None] = (None, None)
    lineage = folder / "store" / "lineage"
    if request.param == "postgres":
        own = address = request.getfixturevalue("new_database")()
    elif "remote" in request.param:
        behind = "service" if "sqlite" in request.param else "service_on_postgres"
        served = request.getfixturevalue(behind)
        own, address = served.ledger, served.url
        lineage = served.folder / "store" / "lineage"
        tokens = (served.token(), served.token())
    first, second = (
        embedded(folder, ledger=address, ledger_token=token, registry=False) for token in tokens
    )
    # a background drain behind a test's back would leave `tick` nothing to do
    second.sinks = {}
    with closing(open_ledger(own)) as database:  # type: ignore[type-var]
        assert isinstance(database, SqlLedger)
        yield Place((first, second), database, lineage)
    for platform in (first, second):
        platform.ledger.close()  # type: ignore[attr-defined]


@pytest.fixture
def identity() -> Callable[..., RunIdentity]:
    """Attempts of a workflow run that no other test has."""
    run = uuid.uuid4().hex

    def build(**fields: Any) -> RunIdentity:
        known = {
            "workflow": "nightly",
            "run": run,
            "task": "step",
            "actor": Actor(id="ana", method="python"),
        }
        return RunIdentity.model_validate({**known, **fields})

    return build


@pytest.fixture
def claim_of(identity: Make) -> Callable[..., Claim]:
    """Claims of a piece of work that no other test has."""
    key = f"sha256:{uuid.uuid4().hex}"

    def build(**fields: Any) -> Claim:
        known: dict[str, Any] = {
            "key": key,
            "kind": "toy.step/v1",
            "identity": identity(),
            "step": {"kind": "toy.step/v1"},
            "step_digest": "sha256:step",
            "inputs": {},
            "lease_seconds": 60.0,
            "replay": True,
            "owner": ELSEWHERE,
            "nonce": os.urandom(8).hex(),
        }
        return Claim(**{**known, **fields})

    return build


def _step(perform: Callable[[StepContext], Outcome]) -> Step:
    class Toy(Step):
        kind: ClassVar[str] = "toy.step/v1"
        needs: ClassVar[frozenset[Need]] = frozenset()

        def perform(self, ctx: StepContext) -> Outcome:
            return perform(ctx)

    return Toy()


def _audit(place: Place, name: str) -> list[tuple[str, str]]:
    """What the audit log tells of a workflow run or a request."""
    with place.own.database.read() as view:
        rows = view.execute(select(audit_log).order_by(audit_log.c.position)).all()
    told = [(row.action, row.outcome, json.loads(bytes(row.body))["subject"]) for row in rows]
    return [(action, outcome) for action, outcome, subject in told if name in subject.values()]


def _entries(place: Place) -> int:
    with place.own.database.read() as view:
        return len(view.execute(select(audit_log.c.id)).all())


def _messages(place: Place, key: str) -> list[str]:
    with place.own.database.read() as view:
        rows = view.execute(select(outbox.c.body)).all()
    return [row.body for row in rows if key in row.body]


def _record(place: Place, run: str) -> RunRecord:
    [record] = [record for record in place.own.runs() if record.identity["run"] == run]
    return record


def _until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come about within a minute"
        time.sleep(0.05)


def _vote(place: Place, request_id: str, choice: Any) -> None:
    seen = read_request(place.own, request_id).request.evidence_digest
    ben = Actor(id="ben", method="python")
    vote(place.own, request_id, choice=choice, actor=ben, evidence_digest=seen)


def test_a_retry_of_finished_work_replays_it(place: Place, identity: Make) -> None:
    """Another worker's retry gets the recorded Done; the log tells of one start and one end."""
    performed: list[int] = []

    def perform(ctx: StepContext) -> Done:
        performed.append(ctx.identity.attempt)
        return Done(value={"n": 0.1, "text": "ü"}, evidence={"rows": [1, None]})

    first = run_step(_step(perform), identity(), place.workers[0])
    assert run_step(_step(perform), identity(attempt=2), place.workers[1]) == first
    assert performed == [1]
    assert _audit(place, identity().run) == [("run.start", "ok"), ("run.finish", "ok")]


def test_a_worker_and_the_database_tell_the_same(place: Place, identity: Make) -> None:
    """Runs, attempts and streams read through a service are those that lie in the database."""
    asked = run_step(Signoff(subject="Ship it?"), identity(), place.platform)
    assert isinstance(asked, Waiting)
    [record] = place.ledger.runs(request_id=asked.request_id)
    assert record == place.own.run(record.key) == place.ledger.run(record.key)
    assert place.ledger.attempts(record.key) == place.own.attempts(record.key)
    stream = f"signoff/{asked.request_id}"
    assert place.ledger.read(stream) == place.own.read(stream)
    for found in (place.ledger.streams("signoff", state="open"), place.own.streams("signoff")):
        [head] = [head for head in found if head.stream == stream]
        assert (head.version, head.due) == (1, asked.until)


def test_a_failed_step_is_tried_again(place: Place, identity: Make) -> None:
    """An error is on record with its class, and the retry performs with the next token."""

    def perform(ctx: StepContext) -> Done:
        if ctx.identity.attempt == 1:
            raise StorageFull("no room", hint="free some")
        return Done(value={})

    with pytest.raises(StorageFull):
        run_step(_step(perform), identity(), place.platform)
    run_step(_step(perform), identity(attempt=2), place.workers[1])
    record = _record(place, identity().run)
    tries = place.ledger.attempts(record.key)
    assert [(item.token, item.ending) for item in tries] == [(1, "failed"), (2, "done")]


def test_a_refusal_is_on_record(place: Place, identity: Make) -> None:
    """Who may not start performs nothing, and the log tells of it once."""
    anonymous = Actor(id="nobody", method="anonymous")
    with pytest.raises(Refused, match="policy does not let"):
        run_step(_step(lambda _: Done(value={})), identity(actor=anonymous), place.platform)
    record = _record(place, identity().run)
    assert (record.state, place.ledger.attempts(record.key)) == ("denied", [])
    assert _audit(place, identity().run) == [("run.start", "refused")]


def test_a_refusal_said_again_is_one(place: Place, claim_of: Make) -> None:
    """A denial whose answer was lost is repeated without a second entry or message."""
    claim = claim_of()
    ending = Ending("denied", {"error": "Refused"}, [Message(f"m-{claim.key}", "event", {})])
    place.ledger.deny(claim, ending)
    place.workers[1].ledger.deny(claim, ending)
    assert _audit(place, claim.key) == [("run.start", "refused")]


def test_two_workers_exclude_each_other(place: Place, identity: Make) -> None:
    """While one performs, the other hears LeaseHeld and when to come back."""

    def perform(_: StepContext) -> Done:
        with pytest.raises(LeaseHeld) as caught:
            run_step(_step(perform), identity(attempt=2), place.workers[1])
        assert caught.value.retry_after == pytest.approx(60, abs=60)
        return Done(value={})

    assert isinstance(run_step(_step(perform), identity(), place.platform), Done)
    assert _audit(place, identity().run) == [("run.start", "ok"), ("run.finish", "ok")]


def test_a_zombie_writes_nothing(place: Place, identity: Make) -> None:
    """An attempt that wakes up after its retry has finished is FencedOut; the retry's stays."""

    def slow(ctx: StepContext) -> Done:
        with place.own.database.write() as tx:  # the worker was silent for longer than its lease
            this = runs.c.identity.contains(ctx.identity.run)
            tx.execute(update(runs).where(this).values(lease_until=to_text(PAST)))
        run_step(_step(lambda _: Done(value={"by": 2})), identity(attempt=2), place.workers[1])
        return Done(value={"by": 1})

    with pytest.raises(FencedOut):
        run_step(_step(slow), identity(), place.platform)
    kept = run_step(_step(slow), identity(attempt=3), place.platform)
    assert isinstance(kept, Done)
    assert kept.value == {"by": 2}
    told = _audit(place, identity().run)
    assert told == [("run.start", "ok"), ("run.start", "ok"), ("run.finish", "ok")]


def test_only_the_newest_token_writes(place: Place, claim_of: Make) -> None:
    """Heartbeat and finish of an attempt that was taken over change nothing."""
    key = claim_of().key
    assert isinstance(place.ledger.claim(claim_of(lease_seconds=0.0)), Claimed)
    second = place.workers[1].ledger.claim(claim_of())
    assert isinstance(second, Claimed)
    assert second.token == 2
    before = place.own.run(key)
    with pytest.raises(FencedOut):
        place.ledger.heartbeat(key, 1, lease_seconds=60)
    with pytest.raises(FencedOut):
        place.ledger.finish(key, 1, Ending("done", {"by": 1}))
    assert place.own.run(key) == before
    place.workers[1].ledger.finish(key, 2, Ending("done", {"by": 2}))
    assert [item.ending for item in place.ledger.attempts(key)] == ["lost", "done"]


def test_a_key_used_for_something_else_shows_both(place: Place, claim_of: Make) -> None:
    """A key reused with another payload is a Conflict, and writes nothing."""
    place.ledger.claim(claim_of())
    before = place.own.run(claim_of().key)
    with pytest.raises(Conflict) as caught:
        place.workers[1].ledger.claim(claim_of(step_digest="sha256:another"))
    assert "sha256:step" in caught.value.message
    assert "sha256:another" in caught.value.message
    assert place.own.run(claim_of().key) == before


@pytest.mark.parametrize(("choice", "kind"), [("approve", Done), ("reject", Blocked)])
def test_a_signoff_continues_where_people_have_decided(
    place: Place, identity: Make, choice: str, kind: type[Outcome]
) -> None:
    """A step waits, a person votes beside the database, and any worker resumes it."""
    asked = run_step(Signoff(subject="Ship it?", quorum=1), identity(), place.platform)
    assert isinstance(asked, Waiting)
    assert isinstance(resume_step(asked.request_id, place.workers[1]), Waiting)
    _vote(place, asked.request_id, choice)
    outcome = resume_step(asked.request_id, place.workers[1], run=identity(attempt=7))
    assert isinstance(outcome, kind)
    [record] = place.ledger.runs(request_id=asked.request_id)
    assert (record.state, record.identity["attempt"]) == (kind.__name__.lower(), 7)
    assert _audit(place, asked.request_id) == [
        ("signoff.request", "ok"),
        ("signoff.vote", "ok"),
        ("signoff.decide", "ok"),
    ]


def test_what_is_due_is_settled_once(place: Place, identity: Make) -> None:
    """Past the deadline a tick records the default, in the deadline's name, and the step ends."""
    asked = run_step(Signoff(subject="Ship it?", quorum=1), identity(), place.platform)
    assert isinstance(asked, Waiting)
    this = f"signoff/{asked.request_id}"
    with place.own.database.write() as tx:
        [row] = tx.execute(select(events.c.body).where(events.c.stream == this))
        body = json.dumps({**json.loads(row.body), "deadline": PAST.isoformat()})
        tx.execute(update(events).where(events.c.stream == this).values(body=body))
        tx.execute(update(streams).where(streams.c.stream == this).values(due=to_text(PAST)))
    tick(place.platform)
    _until(lambda: len(place.own.read(this)) > 1)  # a service's own clock may have been faster
    tick(place.workers[1])
    state = read_request(place.ledger, asked.request_id)
    assert state.decision is not None
    assert state.decision.by == ("system:deadline",)
    assert isinstance(resume_step(asked.request_id, place.workers[1]), Blocked)
    told = _audit(place, asked.request_id)
    assert told == [("signoff.request", "ok"), ("signoff.decide", "ok")]


def test_messages_leave_once(place: Place, identity: Make) -> None:
    """A tick hands START and COMPLETE to the sinks of whoever keeps the ledger."""
    run_step(_step(lambda _: Done(value={})), identity(), place.workers[1])
    key = _record(place, identity().run).key

    def gone() -> bool:
        tick(place.platform)
        return not _messages(place, key)

    _until(gone)
    kept = [path.read_text() for path in place.lineage.glob("*.json")]
    told = sorted(json.loads(text)["eventType"] for text in kept if key in text)
    assert told == ["COMPLETE", "START"]


def test_a_watch_ends_when_a_stream_changes(place: Place) -> None:
    """Whoever waits hears of a change that somebody else makes, long before its time is up."""
    fields: dict[str, Any] = {"category": "test", "expected": 0, "state": "open", "due": None}
    with ThreadPoolExecutor(1) as thread:
        heard = thread.submit(place.ledger.watch, seconds=120)

        def change() -> bool:
            place.own.append(f"test/{uuid.uuid4().hex}", [("made", {})], **fields, audit=[])
            return heard.done()

        _until(change)  # again and again, for nobody knows when the watch has begun
        assert heard.result() is True


def test_a_stream_moves_on_once(place: Place) -> None:
    """Of two who append at one version the second hears Conflict, and leaves no entry."""
    stream = f"test/{uuid.uuid4().hex}"
    fact = AuditFact("test.made", "ok", Actor(id="ana", method="python"), {"stream": stream})
    fields: dict[str, Any] = {"category": "test", "state": "open", "due": None, "audit": [fact]}
    assert place.ledger.append(stream, [("made", {"n": 1})], expected=0, **fields) == 1
    with pytest.raises(Conflict):
        place.workers[1].ledger.append(stream, [("made", {"n": 2})], expected=0, **fields)
    assert [event.body for event in place.ledger.read(stream)] == [{"n": 1}]
    assert _audit(place, stream) == [("test.made", "ok")]


def test_a_lock_is_held_by_one(place: Place) -> None:
    """A second worker hears LeaseHeld, and has the lock once the first has given it back."""
    name = f"promote:{uuid.uuid4().hex}"
    other = place.workers[1].ledger
    with place.ledger.lock(name, owner="one", seconds=60):
        with pytest.raises(LeaseHeld) as caught, other.lock(name, owner="two", seconds=60):
            pass
        assert caught.value.retry_after is not None
    holder = f"two|{this_process()}"
    other.acquire(name, holder=holder, seconds=60)
    other.acquire(name, holder=holder, seconds=60)
    other.release(name, holder=holder)
    other.release(name, holder=holder)
    with place.ledger.lock(name, owner="one", seconds=60):
        pass


def test_a_budget_is_shared(place: Place) -> None:
    """What one worker spends the other lacks, until something is earned."""
    budget = Budget(uuid.uuid4().hex, capacity=2)
    one, two = (platform.ledger for platform in place.workers)
    assert one.spend(budget, cost=1.5) is True
    assert two.spend(budget, cost=1.0) is False
    assert two.spend(budget, cost=0.0, earned=0.5) is True
    assert one.spend(budget, cost=1.0) is True
    assert one.spend(budget, cost=0.1) is False


def test_a_worker_may_look_how_the_ledger_is(place: Place, identity: Make) -> None:
    """`check` gives the same facts everywhere, and looking writes nothing."""
    run_step(_step(lambda _: Done(value={})), identity(), place.workers[1])
    before = _entries(place)
    facts, own = place.ledger.check(), place.own.check()
    assert _entries(place) == before
    assert facts.keys() == own.keys()
    assert abs(datetime.fromisoformat(facts["now"]) - datetime.now(UTC)) < timedelta(minutes=5)
    for name in ("ledger", "schema", "runs", "audit_entries", "audit_broken"):
        assert facts[name] == own[name]
