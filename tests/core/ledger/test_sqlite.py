from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from backbeat import Actor
from backbeat.ledger import SqliteLedger
from backbeat.ports import AuditFact, Message

Make = Callable[..., Any]


def _entries(ledger: SqliteLedger, number: int) -> None:
    for index in range(number):
        fact = AuditFact("test", "ok", Actor(id="ana", method="cli"), {"index": index})
        ledger.append(
            "s", [], category="c", expected=0, state="s", due=None, audit=[fact],
            messages=[Message(f"m-{index}", "event", {})],
        )  # fmt: skip


def test_a_check_counts_what_is_there(ledger: SqliteLedger) -> None:
    """An intact ledger reports its path, its schema and its counts."""
    _entries(ledger, 3)
    assert ledger.check() == {
        "path": str(ledger.path),
        "schema": 1,
        "runs": 0,
        "outbox": 3,
        "audit_entries": 3,
        "audit_broken": [],
    }


def test_a_tampered_byte_is_found(ledger: SqliteLedger) -> None:
    """Whoever changes one byte of an entry, or its hash, is found by position."""
    _entries(ledger, 4)
    with closing(sqlite3.connect(ledger.path)) as connection:
        [body] = connection.execute(
            "SELECT body FROM backbeat_audit_log WHERE position = 2"
        ).fetchone()
        changed = body.replace(b'"outcome":"ok"', b'"outcome":"oK"')
        connection.execute("UPDATE backbeat_audit_log SET body = ? WHERE position = 2", (changed,))
        connection.execute("UPDATE backbeat_audit_log SET leaf = zeroblob(32) WHERE position = 4")
        connection.commit()
    assert ledger.check()["audit_broken"] == [2, 4]


def test_erasing_a_person_leaves_the_log_intact(ledger: SqliteLedger) -> None:
    """Without its private rows every hash still holds."""
    _entries(ledger, 2)
    with closing(sqlite3.connect(ledger.path)) as connection:
        erased = connection.execute("DELETE FROM backbeat_audit_private").rowcount
        connection.commit()
    assert erased == 2
    assert ledger.check()["audit_broken"] == []


def test_a_closed_ledger_opens_again(ledger: SqliteLedger) -> None:
    """Closing gives the file handles back and no more."""
    ledger.close()
    assert ledger.check()["runs"] == 0
