"""Dagster's daemon, webserver, code server and a process a step, everything on servers."""

from __future__ import annotations

from typing import Any

import pytest

from flights import services
from flights.table import ledger_rows, unexpected

NIGHT = "2013-05-04"
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def season(on_dagster: Any, postgres: services.Postgres) -> Any:
    """One night with a sign-off."""
    postgres.create("dagster")
    # its storage works with psycopg2 alone
    database = postgres.url("dagster", scheme="postgresql+psycopg2")
    where = (str(on_dagster.folder), "--database", database)
    on_dagster.run("play_season", *where, "--nights", NIGHT, FLIGHTS_MULTIPROCESS="1")
    return on_dagster


def test_a_night_with_a_signoff(season: Any) -> None:
    """Two people sign, the sensor continues, the first champion scores tomorrow's flights."""
    platform = season.platform()
    rows = [row for row in ledger_rows(platform) if row.quality != "missing"]
    assert [row.night for row in rows] == [NIGHT]
    assert unexpected(rows) == []
    assert rows[0].by == ("ada", "grace")
    assert rows[0].attempts == 1
    assert platform.ledger.check()["audit_broken"] == []
    # `adopt_existing` keeps a ledger of its own there
    assert not {"store", "mlflow.db", "artifacts"} & {one.name for one in season.folder.iterdir()}


def test_each_step_had_a_process_of_its_own(season: Any) -> None:
    """The multiprocess executor forked every step: the ledger knows as many owners."""
    ledger = season.platform().ledger
    owners = [attempt.owner for run in ledger.runs() for attempt in ledger.attempts(run.key)]
    assert len(set(owners)) > 1
