"""A ledger on each database, claims and endings as the runner would make them."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backbeat.ledger import open_ledger
from backbeat.ledger.owner import this_process
from backbeat.ledger.sql import SqlLedger
from backbeat.ports import Claim, Ending, Message

Make = Callable[..., Any]


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new ledger is: a file, and a PostgreSQL database."""
    if request.param == "sqlite":
        return str(tmp_path / "alone" / "ledger.db")
    return str(request.getfixturevalue("new_database")())


@pytest.fixture
def ledger(address: str) -> Iterator[SqlLedger]:
    """A ledger of its own on each database."""
    with closing(open_ledger(address)) as opened:  # type: ignore[type-var]
        yield opened  # type: ignore[misc]


@pytest.fixture
def sql(address: str) -> Callable[..., list[dict[str, Any]]]:
    """Speaks to a ledger's database through its plain driver, without backbeat's own code."""

    def execute(query: str, *values: Any) -> list[dict[str, Any]]:
        connection: Any
        if "://" in address:
            connection = psycopg.connect(address)
            query = query.replace("?", "%s")
        else:
            connection = sqlite3.connect(address)
        with closing(connection):
            cursor = connection.execute(query, values)
            names = [column[0] for column in cursor.description or ()]
            found = [dict(zip(names, row, strict=True)) for row in cursor] if names else []
            connection.commit()
        return found

    return execute


@pytest.fixture
def dump(sql: Make) -> Callable[[], dict[str, list[str]]]:
    """Everything in a ledger, to compare before and after."""
    tables = "meta runs attempts streams events locks budgets tokens outbox audit_log audit_private"

    def all_rows() -> dict[str, list[str]]:
        return {
            name: sorted(str(row) for row in sql(f"SELECT * FROM backbeat_{name}"))  # noqa: S608
            for name in tables.split()
        }

    return all_rows


@pytest.fixture
def claim_of(attempt: Make) -> Callable[..., Claim]:
    """Builds the claim of a piece of work."""

    def build(key: str = "sha256:work", **fields: Any) -> Claim:
        known: dict[str, Any] = {
            "kind": "toy.step/v1",
            "identity": attempt(),
            "step": {"kind": "toy.step/v1"},
            "step_digest": "sha256:step",
            "inputs": {},
            "lease_seconds": 60.0,
            "replay": True,
            "owner": this_process(),
            "nonce": uuid.uuid4().hex,
        }
        return Claim(key=key, **{**known, **fields})

    return build


@pytest.fixture
def done() -> Ending:
    """An ending that went well, with one message."""
    message = Message("m-1", "event", {"n": 1})
    return Ending(state="done", outcome={"status": "done"}, messages=[message])
