from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from backbeat import Actor
from backbeat.errors import Conflict
from backbeat.ledger.sql import SqlLedger
from backbeat.ports import AuditFact

Make = Callable[..., Any]
DUE = datetime(2026, 11, 22, 2, tzinfo=UTC)
FACT = AuditFact("test", "refused", Actor(id="ana", method="cli"), {})


def _append(ledger: SqlLedger, stream: str, expected: int, *kinds: str, **fields: Any) -> int:
    known: dict[str, Any] = {"category": "c", "state": "open", "due": DUE, "audit": []}
    additions = [(kind, {"kind": kind}) for kind in kinds]
    return ledger.append(stream, additions, expected=expected, **{**known, **fields})


def test_a_stream_reads_back_in_order(ledger: SqlLedger) -> None:
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
def test_a_stream_that_moved_on_is_a_conflict(ledger: SqlLedger, dump: Make, expected: int) -> None:
    """Who decided on an old version appends nothing, audit entries included."""
    _append(ledger, "s", 0, "a", "b")
    before = dump()
    with pytest.raises(Conflict, match=f"moved on to version 2 from {expected}"):
        _append(ledger, "s", expected, "late", audit=[FACT])
    assert dump() == before


def test_a_refusal_is_audited_without_an_event(ledger: SqlLedger) -> None:
    """With nothing to append, the audit entry alone is written."""
    assert _append(ledger, "s", 0, audit=[FACT]) == 0
    assert ledger.read("s") == []
    assert ledger.check()["audit_entries"] == 1


def test_heads_are_listed_newest_first(ledger: SqlLedger) -> None:
    """A list shows each stream's state, version and due time, of one state where asked."""
    _append(ledger, "a", 0, "x")
    _append(ledger, "b", 0, "x", state="closed", due=None)
    _append(ledger, "other", 0, "x", category="d")
    heads = [(item.stream, item.state, item.version, item.due) for item in ledger.streams("c")]
    assert heads == [("b", "closed", 1, None), ("a", "open", 1, DUE)]
    assert [item.stream for item in ledger.streams("c", state="open")] == ["a"]


def test_what_is_due_is_handed_to_one_caller(ledger: SqlLedger, sql: Make) -> None:
    """A stream whose time has come is given out once, then again when the half minute is over."""
    past = datetime(2026, 1, 1, tzinfo=UTC)
    _append(ledger, "a", 0, "x", due=past)
    _append(ledger, "b", 0, "x", due=datetime(2999, 1, 1, tzinfo=UTC))
    _append(ledger, "c", 0, "x", due=past, state="closed")
    _append(ledger, "d", 0, "x", due=None)
    assert [item.stream for item in ledger.due("c", state="open", limit=10)] == ["a"]
    assert ledger.due("c", state="open", limit=10) == []
    sql("UPDATE backbeat_streams SET taken_until = '2026-01-01T00:00:00.000000Z'")
    assert [item.stream for item in ledger.due("c", state="open", limit=10)] == ["a"]


def test_ten_tickers_share_the_timers(ledger: SqlLedger, address: str, start_python: Make) -> None:
    """Processes that ask at the same moment get each due stream once between them."""
    names = {f"s-{number:03}" for number in range(100)}
    for name in names:
        _append(ledger, name, 0, "x", due=datetime(2026, 1, 1, tzinfo=UTC))
    source = """
import sys
from backbeat.ledger import open_ledger
ledger = open_ledger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while found := ledger.due("c", state="open", limit=3):
    print(*[item.stream for item in found], flush=True)
"""
    tickers = [start_python(source, address) for _ in range(4)]
    for ticker in tickers:
        assert ticker.stdout.readline() == "ready\n"
    for ticker in tickers:
        ticker.stdin.write("\n")
        ticker.stdin.flush()
    given: list[str] = []
    for ticker in tickers:
        out, errors = ticker.communicate(timeout=120)
        assert ticker.returncode == 0, errors
        given += out.split()
    assert sorted(given) == sorted(names)


def test_a_watcher_wakes_when_a_stream_changes(
    ledger: SqlLedger, address: str, start_python: Make
) -> None:
    """Watching ends long before its time where another process appends, and says so."""
    assert ledger.watch(seconds=0.05) is False
    source = """
import sys
from backbeat.ledger import open_ledger
ledger = open_ledger(sys.argv[1])
sys.stdin.readline()
number = 0
while True:  # whoever begins to watch after one change sees the next
    ledger.append("w", [("x", {})], category="c", expected=number, state="s", due=None, audit=[])
    number += 1
"""
    writer = start_python(source, address)
    writer.stdin.write("\n")
    writer.stdin.flush()
    assert ledger.watch(seconds=60) is True
