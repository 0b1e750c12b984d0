from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest

from backbeat.errors import Conflict, FencedOut, LeaseHeld, NotFound
from backbeat.ledger import open_ledger
from backbeat.ledger.sql import SqlLedger
from backbeat.ports import Claimed, Ending, Message, Recorded

Make = Callable[..., Any]


def test_the_first_claim_gets_the_first_token(ledger: SqlLedger, claim_of: Make) -> None:
    """A new piece of work is claimed with token 1, and stands as claimed by this process."""
    claimed = ledger.claim(claim_of())
    assert isinstance(claimed, Claimed)
    assert claimed.token == 1
    record = ledger.run("sha256:work")
    assert record is not None
    assert (record.state, record.token) == ("claimed", 1)
    assert record.lease_until is not None
    assert (record.lease_until - claimed.started_at).total_seconds() == 60


def test_two_workers_of_one_process_exclude_each_other(
    ledger: SqlLedger, claim_of: Make, dump: Make
) -> None:
    """A second claim of work that is held is LeaseHeld, and writes nothing."""
    ledger.claim(claim_of())
    before = dump()
    with pytest.raises(LeaseHeld):
        ledger.claim(claim_of())
    assert dump() == before


def test_a_heartbeat_prolongs_the_lease(ledger: SqlLedger, claim_of: Make) -> None:
    """The lease ends later after a heartbeat than before it."""
    ledger.claim(claim_of(lease_seconds=5))

    def end() -> datetime:
        record = ledger.run("sha256:work")
        assert record is not None
        assert record.lease_until is not None
        return record.lease_until

    before = end()
    ledger.heartbeat("sha256:work", 1, lease_seconds=300)
    assert (end() - before).total_seconds() > 290


@pytest.mark.parametrize("token", [0, 2])
def test_only_the_holder_writes(
    ledger: SqlLedger, claim_of: Make, done: Ending, dump: Make, token: int
) -> None:
    """Heartbeat and finish with any other token are FencedOut, and change no row."""
    ledger.claim(claim_of())
    before = dump()
    with pytest.raises(FencedOut):
        ledger.heartbeat("sha256:work", token, lease_seconds=300)
    with pytest.raises(FencedOut):
        ledger.finish("sha256:work", token, done)
    assert dump() == before


def test_work_is_finished_once(ledger: SqlLedger, claim_of: Make, done: Ending, dump: Make) -> None:
    """The same ending said again changes nothing; another ending is FencedOut."""
    ledger.claim(claim_of())
    ledger.finish("sha256:work", 1, done)
    before = dump()
    ledger.finish("sha256:work", 1, done)
    with pytest.raises(FencedOut):
        ledger.finish("sha256:work", 1, Ending(state="failed", outcome={"error": "late"}))
    assert dump() == before


def test_a_claim_whose_answer_was_lost_is_answered_again(
    ledger: SqlLedger, claim_of: Make, dump: Make
) -> None:
    """The very same call gets the same lease, and writes nothing more."""
    claim = claim_of()
    first = ledger.claim(claim)
    before = dump()
    assert ledger.claim(claim) == first
    assert dump() == before


@pytest.mark.parametrize(
    "other", [{"step_digest": "sha256:other"}, {"inputs": {"data": "sha256:x"}}, {"kind": "a.b/v1"}]
)
def test_a_key_used_for_something_else_is_a_conflict_that_shows_both(
    ledger: SqlLedger, claim_of: Make, done: Ending, dump: Make, other: dict[str, Any]
) -> None:
    """A key reused with another payload is refused, claimed or done, and nothing is written."""
    ledger.claim(claim_of())
    for _ in range(2):
        before = dump()
        with pytest.raises(Conflict) as caught:
            ledger.claim(claim_of(**other))
        assert "sha256:step" in caught.value.message
        assert next(iter(other)).removesuffix("_digest") in caught.value.message
        assert dump() == before
        ledger.finish("sha256:work", 1, done)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps_neither_blocks_nor_doubles(
    ledger: SqlLedger, claim_of: Make, done: Ending, hours: int
) -> None:
    """Set back an hour, a dead holder blocks one lease's length; set ahead, fencing decides."""
    away = "elsewhere:boot/1/1"  # a holder of whom nobody here can know whether it lives
    ledger.claim(claim_of(owner=away))
    real = ledger.database.now
    ledger.database.now = lambda: real() + timedelta(hours=hours)  # type: ignore[method-assign]
    if hours < 0:
        with pytest.raises(LeaseHeld) as caught:
            ledger.claim(claim_of())
        assert caught.value.retry_after == pytest.approx(60)
        start = ledger.database.now()
        ledger.database.now = lambda: start + timedelta(seconds=61)  # type: ignore[method-assign]
    second = ledger.claim(claim_of())
    assert isinstance(second, Claimed)
    assert second.token == 2
    with pytest.raises(FencedOut):
        ledger.finish("sha256:work", 1, done)
    ledger.finish("sha256:work", 2, done)


def test_a_lease_longer_than_the_task_ends_with_it(
    ledger: SqlLedger, claim_of: Make, done: Ending
) -> None:
    """A day's lease keeps nobody waiting once the task has finished, well or not."""
    for ending in (Ending(state="failed", outcome={}), done):
        claimed = ledger.claim(claim_of(lease_seconds=86_400.0, owner="elsewhere:boot/1/1"))
        assert isinstance(claimed, Claimed)
        ledger.finish("sha256:work", claimed.token, ending)
    assert isinstance(ledger.claim(claim_of()), Recorded)


def test_finishing_what_nobody_claimed_is_named(ledger: SqlLedger, done: Ending) -> None:
    """An unknown key is NotFound rather than a silent nothing."""
    with pytest.raises(NotFound, match="knows no piece of work sha256:never"):
        ledger.finish("sha256:never", 1, done)


def test_another_process_may_finish_with_the_token(
    ledger: SqlLedger, address: str, claim_of: Make, done: Ending
) -> None:
    """The token is what counts, not the object that claimed: a pod may end what a worker began."""
    ledger.claim(claim_of())
    with closing(open_ledger(address)) as other:  # type: ignore[type-var]
        other.finish("sha256:work", 1, done)
    assert isinstance(ledger.claim(claim_of()), Recorded)


def _denied(number: int = 1) -> Ending:
    message = Message(f"denied-{number}", "event", {})
    return Ending("denied", {"error": "Refused"}, [message], facts={"reason": "policy"})


@pytest.mark.parametrize("known", ["new", "claimed", "done"])
def test_a_denial_said_again_is_one_denial(
    ledger: SqlLedger, claim_of: Make, done: Ending, dump: Make, sql: Make, known: str
) -> None:
    """The very same call writes nothing more, whatever stands under its key, which stays."""
    if known != "new":
        ledger.claim(claim_of())
    if known == "done":
        ledger.finish("sha256:work", 1, done)
    claim = claim_of(nonce="one")
    ledger.deny(claim, _denied())
    before = dump()
    ledger.deny(claim, _denied(2))
    assert dump() == before
    record = ledger.run("sha256:work")
    assert record is not None
    assert record.state == ("denied" if known == "new" else known)
    ledger.deny(claim_of(nonce="two"), _denied(2))
    refused = "SELECT count(*) AS n FROM backbeat_audit_log WHERE outcome = 'refused'"
    assert sql(refused) == [{"n": 2}]
    assert len(sql("SELECT id FROM backbeat_outbox WHERE id LIKE 'denied-_'")) == 2


def test_denied_work_is_claimed_like_new_work(ledger: SqlLedger, claim_of: Make) -> None:
    """Once policy allows it, the work that was denied gets its first token."""
    ledger.deny(claim_of(), _denied())
    claimed = ledger.claim(claim_of())
    assert isinstance(claimed, Claimed)
    assert claimed.token == 1


def test_claims_that_never_finish_take_no_room(
    ledger: SqlLedger, claim_of: Make, done: Ending, sql: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that lives long remembers a bounded number of claims, and finishes any of them."""
    monkeypatch.setattr("backbeat.ledger.claims._OPEN_CLAIMS", 3)
    for number in range(5):
        ledger.claim(claim_of(f"sha256:{number}"))
    assert len(ledger._open_claims) == 3
    ledger.finish("sha256:0", 1, done)
    [entry] = sql("SELECT body FROM backbeat_audit_log WHERE action = 'run.finish'")
    assert json.loads(bytes(entry["body"]))["subject"]["key"] == "sha256:0"


def test_a_waiting_steps_request_stays_with_the_work(ledger: SqlLedger, claim_of: Make) -> None:
    """The request id of a parked step survives the attempt that finishes it."""
    ledger.claim(claim_of())
    waiting = Ending(state="waiting", outcome={"status": "waiting"}, request_id="so-1")
    ledger.finish("sha256:work", 1, waiting)
    ledger.claim(claim_of())
    ledger.finish("sha256:work", 2, Ending(state="done", outcome={"status": "done"}))
    [record] = ledger.runs(request_id="so-1")
    assert (record.state, record.token) == ("done", 2)


def test_every_attempt_is_listed(ledger: SqlLedger, claim_of: Make, attempt: Make) -> None:
    """Attempts come oldest first, each with its token, its try and how it ended."""
    ledger.claim(claim_of())
    ledger.finish("sha256:work", 1, Ending(state="failed", outcome={}))
    ledger.claim(claim_of(identity=attempt(attempt=2)))
    found = ledger.attempts("sha256:work")
    assert [(item.token, item.identity["attempt"], item.ending) for item in found] == [
        (1, 1, "failed"),
        (2, 2, None),
    ]
    assert ledger.attempts("sha256:other") == []


def test_a_message_is_in_the_outbox_once(ledger: SqlLedger, claim_of: Make, sql: Make) -> None:
    """A retry's START has the id of the first one, and the first stays."""
    for body in ({"n": 1}, {"n": 2}):
        ledger.claim(claim_of(messages=[Message("start", "event", body)]))
        ledger.finish("sha256:work", ledger.runs()[0].token, Ending(state="failed", outcome={}))
    assert sql("SELECT id, body FROM backbeat_outbox") == [{"id": "start", "body": '{"n":1}'}]


def test_a_finish_that_breaks_in_the_middle_leaves_nothing(
    ledger: SqlLedger, address: str, claim_of: Make, done: Ending, dump: Make, sql: Make
) -> None:
    """Outcome, audit entry and messages are one transaction: all or none."""
    ledger.claim(claim_of())
    if "://" in address:
        sql(
            "CREATE FUNCTION eat() RETURNS trigger AS $$ BEGIN RAISE 'the disk ate it'; END $$ "
            "LANGUAGE plpgsql"
        )
        sql(
            "CREATE TRIGGER broken BEFORE INSERT ON backbeat_audit_private "
            "FOR EACH ROW EXECUTE FUNCTION eat()"
        )
    else:
        sql(
            "CREATE TRIGGER broken BEFORE INSERT ON backbeat_audit_private "
            "BEGIN SELECT raise(ABORT, 'the disk ate it'); END"
        )
    before = dump()
    with pytest.raises(Exception, match="the disk ate it"):
        ledger.finish("sha256:work", 1, done)
    assert dump() == before


def test_a_key_may_be_shortened_where_it_is_unique(ledger: SqlLedger, claim_of: Make) -> None:
    """The beginning of a key finds its work; an ambiguous one, or a pattern, finds none."""
    ledger.claim(claim_of("sha256:aa1"))
    ledger.claim(claim_of("sha256:aa2"))
    found = ledger.run("sha256:aa1")
    assert found is not None
    assert found.key == "sha256:aa1"
    assert ledger.run("sha256:aa") is None
    assert ledger.run("sha256:a_1") is None
    assert ledger.run("%") is None


def test_lists_are_newest_first_and_bounded(ledger: SqlLedger, claim_of: Make) -> None:
    """`runs` gives the newest `limit`, of one state where that is asked."""
    for number in range(5):
        ledger.claim(claim_of(f"sha256:{number}"))
    ledger.finish("sha256:3", 1, Ending(state="blocked", outcome={}))
    assert [item.key for item in ledger.runs(limit=2)] == ["sha256:4", "sha256:3"]
    assert [item.key for item in ledger.runs(state="blocked")] == ["sha256:3"]
