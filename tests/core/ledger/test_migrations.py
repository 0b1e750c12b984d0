from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import LedgerIncompatible
from backbeat.ledger import SqliteLedger
from backbeat.ledger.migrations import SCHEMA_VERSION

Make = Callable[..., Any]


@pytest.fixture
def address(tmp_path: Path) -> str:
    """What is said here is said of SQLite."""
    return str(tmp_path / "alone" / "ledger.db")


def _set(path: Path, **facts: object) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for name, value in facts.items():
            query = "UPDATE backbeat_meta SET value = ? WHERE name = ?"
            connection.execute(query, (str(value), name))
        connection.commit()


def test_many_processes_make_the_schema_once(
    tmp_path: Path, start_python: Make, rows: Make
) -> None:
    """Processes that open a new ledger at the same moment all get it, and one of them makes it."""
    source = """
import sys
from backbeat.ledger import SqliteLedger
print("ready", flush=True)
sys.stdin.readline()
print(SqliteLedger(sys.argv[1]).check()["schema"])
"""
    processes = [start_python(source, tmp_path / "ledger.db") for _ in range(5)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        out, errors = process.communicate(timeout=60)
        assert out == f"{SCHEMA_VERSION}\n", errors
    facts = {
        row["name"]: row["value"]
        for row in rows(tmp_path / "ledger.db", "SELECT * FROM backbeat_meta")
    }
    assert facts == {
        "product": "backbeat",
        "schema_version": str(SCHEMA_VERSION),
        "min_compatible": "1",
    }


def test_opening_again_changes_nothing(ledger: SqliteLedger, ledger_dump: Make) -> None:
    """A ledger of this version is left as it is."""
    before = ledger_dump(ledger.path)
    with closing(SqliteLedger(ledger.path)):
        assert ledger_dump(ledger.path) == before


def test_a_ledger_that_is_too_new_is_refused(ledger: SqliteLedger, ledger_dump: Make) -> None:
    """Where a newer release forbids it, this one does not write, and says what to upgrade."""
    _set(ledger.path, schema_version=SCHEMA_VERSION + 2, min_compatible=SCHEMA_VERSION + 1)
    before = ledger_dump(ledger.path)
    with pytest.raises(LedgerIncompatible) as caught:
        SqliteLedger(ledger.path)
    assert caught.value.message == (
        f"the ledger has schema {SCHEMA_VERSION + 2}, which backbeat with schema {SCHEMA_VERSION} "
        f"may not write (it needs at least {SCHEMA_VERSION + 1})"
    )
    assert caught.value.hint == "upgrade backbeat on this worker"
    assert ledger_dump(ledger.path) == before


def test_a_newer_ledger_that_allows_it_is_used(
    ledger: SqliteLedger, ledger_dump: Make, claim_of: Make
) -> None:
    """A worker of the release before keeps working after the schema has expanded."""
    _set(ledger.path, schema_version=SCHEMA_VERSION + 1)
    before = ledger_dump(ledger.path)
    with closing(SqliteLedger(ledger.path)) as older:
        assert ledger_dump(ledger.path) == before
        assert older.check()["schema"] == SCHEMA_VERSION + 1
        older.claim(claim_of())


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    """A database with other tables is named by them, and stays as it is to the last byte."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(LedgerIncompatible, match=r"holds other tables \(customers\) and no ledger"):
        SqliteLedger(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
