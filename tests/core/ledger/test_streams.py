from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from backbeat import Actor
from backbeat.errors import Conflict, LeaseHeld
from backbeat.ledger import SqliteLedger
from backbeat.ports import AuditFact

Make = Callable[..., Any]
DUE = datetime(2026, 11, 22, 2, tzinfo=UTC)
FACT = AuditFact("test", "refused", Actor(id="ana", method="cli"), {})


def _append(ledger: SqliteLedger, stream: str, expected: int, *kinds: str, **fields: Any) -> int:
    known: dict[str, Any] = {"category": "c", "state": "open", "due": DUE, "audit": []}
    additions = [(kind, {"kind": kind}) for kind in kinds]
    return ledger.append(stream, additions, expected=expected, **{**known, **fields})


def test_a_stream_reads_back_in_order(ledger: SqliteLedger) -> None:
    """Events keep their order, their versions and their bodies; another stream is empty."""
    assert _append(ledger, "s", 0, "a", "b") == 2
    assert _append(ledger, "s", 2, "c") == 3
    assert [(item.version, item.kind, item.body) for item in ledger.read("s")] == [
        (1, "a", {"kind": "a"}),
        (2, "b", {"kind": "b"}),
        (3, "c", {"kind": "c"}),
    ]
    assert ledger.read("other") == []


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_a_stream_that_moved_on_is_a_conflict(
    ledger: SqliteLedger, ledger_dump: Make, expected: int
) -> None:
    """Who decided on an old version appends nothing, audit entries included."""
    _append(ledger, "s", 0, "a", "b")
    before = ledger_dump(ledger.path)
    with pytest.raises(Conflict, match=f"moved on to version 2 from {expected}"):
        _append(ledger, "s", expected, "late", audit=[FACT])
    assert ledger_dump(ledger.path) == before


def test_a_refusal_is_audited_without_an_event(ledger: SqliteLedger) -> None:
    """With nothing to append, the audit entry alone is written."""
    assert _append(ledger, "s", 0, audit=[FACT]) == 0
    assert ledger.read("s") == []
    assert ledger.check()["audit_entries"] == 1


def test_heads_are_listed_newest_first(ledger: SqliteLedger) -> None:
    """A list shows each stream's state, version and due time, of one state where asked."""
    _append(ledger, "a", 0, "x")
    _append(ledger, "b", 0, "x", state="closed", due=None)
    _append(ledger, "other", 0, "x", category="d")
    heads = [(item.stream, item.state, item.version, item.due) for item in ledger.streams("c")]
    assert heads == [("b", "closed", 1, None), ("a", "open", 1, DUE)]
    assert [item.stream for item in ledger.streams("c", state="open")] == ["a"]


def test_a_lock_excludes_until_it_is_given_back(ledger: SqliteLedger) -> None:
    """A second holder hears how long to wait; after the block the lock is free."""
    with ledger.lock("promote:m", owner="a", seconds=30):
        with pytest.raises(LeaseHeld) as caught, ledger.lock("promote:m", owner="b", seconds=30):
            pytest.fail("two hold it")
        assert caught.value.retry_after is not None
        assert 1 <= caught.value.retry_after <= 30
        with ledger.lock("promote:other", owner="b", seconds=30):
            pass
    with ledger.lock("promote:m", owner="b", seconds=30):
        pass


def test_a_lock_is_given_back_after_an_error(ledger: SqliteLedger) -> None:
    """What goes wrong inside does not keep others out."""
    with pytest.raises(ValueError, match="inside"), ledger.lock("x", owner="a", seconds=30):
        raise ValueError("inside")
    with ledger.lock("x", owner="b", seconds=30):
        pass


def test_a_dead_holders_lock_is_taken_at_once(ledger: SqliteLedger, start_python: Make) -> None:
    """A worker killed while holding a lock does not block the next one until its end."""
    source = """
import os, sys
from backbeat.ledger import SqliteLedger
with SqliteLedger(sys.argv[1]).lock("x", owner="a", seconds=3600):
    os.kill(os.getpid(), 9)
"""
    process = start_python(source, ledger.path)
    process.communicate(timeout=60)
    assert process.returncode == -9
    with ledger.lock("x", owner="b", seconds=30):
        pass


def test_an_old_holder_does_not_free_the_new_ones_lock(ledger: SqliteLedger) -> None:
    """A lock that ran out and was taken over is not deleted by its first holder."""
    with ledger.lock("x", owner="a", seconds=30):
        with closing(sqlite3.connect(ledger.path)) as connection:
            past = "2000-01-01T00:00:00.000000Z"
            connection.execute("UPDATE backbeat_locks SET until = ?", (past,))
            connection.commit()
        second = ledger.lock("x", owner="b", seconds=30)
        second.__enter__()
    with pytest.raises(LeaseHeld), ledger.lock("x", owner="c", seconds=30):
        pytest.fail("two hold it")
    second.__exit__(None, None, None)
