from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select, update

from backbeat.errors import Unreachable
from backbeat.ledger import SqliteLedger, sqlite_database
from backbeat.ledger.prepared import Prepared
from backbeat.ledger.sql import SqlLedger
from backbeat.ledger.tables import locks

INSERT = Prepared(insert(locks))
SELECT = Prepared(select(locks).where(locks.c.name == bindparam("wanted")))
UPDATE = Prepared(update(locks).where(locks.c.owner == bindparam("who")).values(until="u"))
ROWS = [
    {"name": name, "owner": "ana", "until": "t", "seconds": 1.0}
    for name in ("a", "b'; DROP TABLE x")
]


def test_statements_go_straight_to_the_driver(ledger: SqlLedger) -> None:
    """Rows go in and come out by name, values being parameters and never text."""
    with ledger._db.write() as tx:
        for row in ROWS:
            INSERT(tx, row)
        assert SELECT.first(tx, {"wanted": ROWS[1]["name"]}) == ROWS[1]
        assert SELECT.first(tx, {"wanted": "absent"}) is None


def test_a_value_that_no_call_gives_is_found_out(ledger: SqlLedger) -> None:
    """A literal in the statement is a parameter that is missing, and says so by its name."""
    with ledger._db.write() as tx, pytest.raises(Exception, match="until"):
        UPDATE(tx, {"who": "ana"})


def test_a_lock_that_lasts_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that another process keeps locked is Unreachable, which a retry can cure."""
    monkeypatch.setattr(sqlite_database, "_BUSY_SECONDS", 0)
    ledger = SqliteLedger(tmp_path / "ledger.db")
    other = SqliteLedger(ledger.path)
    with ledger._db.write() as tx:
        INSERT(tx, ROWS[0])
        with pytest.raises(Unreachable, match="was locked for") as caught, other._db.write():
            pytest.fail("two write")
    assert caught.value.retryable
    other.close()
    ledger.close()
