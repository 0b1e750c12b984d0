from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest

from backbeat.errors import FencedOut, LeaseHeld, NotFound
from backbeat.ledger import SqliteLedger
from backbeat.ports import Claimed, Ending, Message, Recorded

Make = Callable[..., Any]


def test_the_first_claim_gets_the_first_token(ledger: SqliteLedger, claim_of: Make) -> None:
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
    ledger: SqliteLedger, claim_of: Make
) -> None:
    """A second claim of work that is held is LeaseHeld, and writes nothing."""
    ledger.claim(claim_of())
    before = ledger.check()
    with pytest.raises(LeaseHeld):
        ledger.claim(claim_of())
    assert ledger.check() == before


def test_a_heartbeat_prolongs_the_lease(ledger: SqliteLedger, claim_of: Make) -> None:
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
    ledger: SqliteLedger, claim_of: Make, done: Ending, ledger_dump: Make, token: int
) -> None:
    """Heartbeat and finish with any other token are FencedOut, and change no row."""
    ledger.claim(claim_of())
    before = ledger_dump(ledger.path)
    with pytest.raises(FencedOut):
        ledger.heartbeat("sha256:work", token, lease_seconds=300)
    with pytest.raises(FencedOut):
        ledger.finish("sha256:work", token, done)
    assert ledger_dump(ledger.path) == before


def test_work_is_finished_once(ledger: SqliteLedger, claim_of: Make, done: Ending) -> None:
    """A second finish with the same token is FencedOut: the lease is given back."""
    ledger.claim(claim_of())
    ledger.finish("sha256:work", 1, done)
    with pytest.raises(FencedOut):
        ledger.finish("sha256:work", 1, done)


def test_finishing_what_nobody_claimed_is_named(ledger: SqliteLedger, done: Ending) -> None:
    """An unknown key is NotFound rather than a silent nothing."""
    with pytest.raises(NotFound, match="knows no piece of work sha256:never"):
        ledger.finish("sha256:never", 1, done)


def test_another_process_may_finish_with_the_token(
    ledger: SqliteLedger, claim_of: Make, done: Ending
) -> None:
    """The token is what counts, not the object that claimed: a pod may end what a worker began."""
    ledger.claim(claim_of())
    with closing(SqliteLedger(ledger.path)) as other:
        other.finish("sha256:work", 1, done)
    assert isinstance(ledger.claim(claim_of()), Recorded)


def test_a_waiting_steps_request_stays_with_the_work(ledger: SqliteLedger, claim_of: Make) -> None:
    """The request id of a parked step survives the attempt that finishes it."""
    ledger.claim(claim_of())
    waiting = Ending(state="waiting", outcome={"status": "waiting"}, request_id="so-1")
    ledger.finish("sha256:work", 1, waiting)
    ledger.claim(claim_of())
    ledger.finish("sha256:work", 2, Ending(state="done", outcome={"status": "done"}))
    [record] = ledger.runs(request_id="so-1")
    assert (record.state, record.token) == ("done", 2)


def test_every_attempt_is_listed(ledger: SqliteLedger, claim_of: Make, attempt: Make) -> None:
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


def test_a_message_is_in_the_outbox_once(ledger: SqliteLedger, claim_of: Make, rows: Make) -> None:
    """A retry's START has the id of the first one, and the first stays."""
    for body in ({"n": 1}, {"n": 2}):
        ledger.claim(claim_of(messages=[Message("start", "event", body)]))
        ledger.finish("sha256:work", ledger.runs()[0].token, Ending(state="failed", outcome={}))
    assert rows(ledger.path, "SELECT id, body FROM backbeat_outbox") == [
        {"id": "start", "body": '{"n":1}'}
    ]


def test_a_finish_that_breaks_in_the_middle_leaves_nothing(
    ledger: SqliteLedger, claim_of: Make, done: Ending, ledger_dump: Make
) -> None:
    """Outcome, audit entry and messages are one transaction: all or none."""
    ledger.claim(claim_of())
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON backbeat_audit_private "
            "BEGIN SELECT raise(ABORT, 'the disk ate it'); END"
        )
        connection.commit()
    before = ledger_dump(ledger.path)
    with pytest.raises(Exception, match="the disk ate it"):
        ledger.finish("sha256:work", 1, done)
    assert ledger_dump(ledger.path) == before


def test_a_key_may_be_shortened_where_it_is_unique(ledger: SqliteLedger, claim_of: Make) -> None:
    """The beginning of a key finds its work; an ambiguous one, or a pattern, finds none."""
    ledger.claim(claim_of("sha256:aa1"))
    ledger.claim(claim_of("sha256:aa2"))
    found = ledger.run("sha256:aa1")
    assert found is not None
    assert found.key == "sha256:aa1"
    assert ledger.run("sha256:aa") is None
    assert ledger.run("sha256:a_1") is None
    assert ledger.run("%") is None


def test_lists_are_newest_first_and_bounded(ledger: SqliteLedger, claim_of: Make) -> None:
    """`runs` gives the newest `limit`, of one state where that is asked."""
    for number in range(5):
        ledger.claim(claim_of(f"sha256:{number}"))
    ledger.finish("sha256:3", 1, Ending(state="blocked", outcome={}))
    assert [item.key for item in ledger.runs(limit=2)] == ["sha256:4", "sha256:3"]
    assert [item.key for item in ledger.runs(state="blocked")] == ["sha256:3"]
