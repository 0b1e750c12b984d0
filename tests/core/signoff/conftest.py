"""Requests to vote on, on a ledger of each database where a test asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backbeat import Actor
from backbeat.ledger import open_ledger
from backbeat.ledger.sql import SqlLedger
from backbeat.signoff import Request, Rules

CREATED = datetime(2999, 1, 1, tzinfo=UTC)  # no clock of a test machine is past the deadline


@pytest.fixture
def request_of() -> Callable[..., Request]:
    """Builds a request for two of three people, asked by ana; with `stages`, for these."""

    def build(**fields: Any) -> Request:
        said = {name: fields.pop(name) for name in list(fields) if name in Rules.model_fields}
        rules = {"quorum": 2, "approvers": ("ana", "ben", "cleo", "dora"), "four_eyes": True}
        rules = said if "stages" in said else {**rules, **said}
        known: dict[str, Any] = {
            "request_id": "so-1",
            "subject": "Ship it?",
            "about": {"model": "m", "version": "3"},
            "evidence": {"better": True},
            "requester": Actor(id="ana", method="python"),
            "rules": rules,
            "created": CREATED,
            "deadline": CREATED + timedelta(days=1),
            "workflow": "nightly/run-1",
        }
        return Request.model_validate({**known, **fields})

    return build


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new ledger is: a file, and a PostgreSQL database."""
    if request.param == "sqlite":
        return str(tmp_path / "shared" / "ledger.db")
    return str(request.getfixturevalue("new_database")())


@pytest.fixture
def either(address: str) -> Iterator[SqlLedger]:
    """A ledger of its own on each database."""
    with closing(open_ledger(address)) as opened:  # type: ignore[type-var]
        yield opened  # type: ignore[misc]
