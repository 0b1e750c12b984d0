from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from backbeat import Actor
from backbeat.ledger.migrations import SCHEMA_VERSION
from backbeat.ledger.sql import SqlLedger
from backbeat.ports import AuditFact, Message

Make = Callable[..., Any]


def _entries(ledger: SqlLedger, number: int) -> None:
    for index in range(number):
        fact = AuditFact("test", "ok", Actor(id="ana", method="cli"), {"index": index})
        ledger.append(
            "s", [], category="c", expected=0, state="s", due=None, audit=[fact],
            messages=[Message(f"m-{index}", "event", {})],
        )  # fmt: skip


def test_a_check_counts_what_is_there(ledger: SqlLedger) -> None:
    """An intact ledger reports its address, its schema, its clock and its counts."""
    _entries(ledger, 3)
    found = ledger.check()
    assert datetime.fromisoformat(found.pop("now")).tzinfo is not None
    assert found == {
        "ledger": ledger.name,
        "schema": SCHEMA_VERSION,
        "runs": 0,
        "leases_ended": 0,
        "outbox": 3,
        "outbox_failing": 0,
        "audit_entries": 3,
        "audit_broken": [],
    }


def test_a_tampered_byte_is_found(ledger: SqlLedger, sql: Make) -> None:
    """Whoever changes one byte of an entry, or its hash, is found by position."""
    _entries(ledger, 4)
    [row] = sql("SELECT body FROM backbeat_audit_log WHERE position = 2")
    changed = bytes(row["body"]).replace(b'"outcome":"ok"', b'"outcome":"oK"')
    sql("UPDATE backbeat_audit_log SET body = ? WHERE position = 2", changed)
    sql("UPDATE backbeat_audit_log SET leaf = ? WHERE position = 4", bytes(32))
    assert ledger.check()["audit_broken"] == [2, 4]


def test_erasing_a_person_leaves_the_log_intact(ledger: SqlLedger, sql: Make) -> None:
    """Without its private rows every hash still holds."""
    _entries(ledger, 2)
    [row] = sql("SELECT count(*) AS n FROM backbeat_audit_private")
    assert row["n"] == 2
    sql("DELETE FROM backbeat_audit_private")
    assert ledger.check()["audit_broken"] == []


def test_a_closed_ledger_opens_again(ledger: SqlLedger) -> None:
    """Closing gives the file handles back and no more."""
    ledger.close()
    assert ledger.check()["runs"] == 0
