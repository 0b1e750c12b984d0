"""Airflow's LocalExecutor, its tables and the ledger on PostgreSQL, MLflow and store on servers."""

from __future__ import annotations

from typing import Any

import pytest

from flights.table import ledger_rows, unexpected

NIGHTS = ("2013-05-04", "2013-05-05", "2013-06-14")
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def platform(local_season: Any) -> Any:
    return local_season.platform()


def test_the_nights_end_as_the_season_says(platform: Any) -> None:
    """A champion, a quiet night, a better challenger; each promotion signed by two."""
    rows = [row for row in ledger_rows(platform) if row.night in NIGHTS]
    assert [row.story for row in rows] == ["a", "b", "c"]
    assert unexpected(rows) == []
    assert [row.by for row in rows] == [("ada", "grace"), (), ("ada", "grace")]
    assert [row.version for row in rows] == ["1", "1", "2"]


def test_everything_went_to_the_services(local_season: Any, platform: Any) -> None:
    """Nothing of the platform was left on the local disk, and every part of it is on its server."""
    assert sorted(path.name for path in local_season.folder.iterdir()) == ["home"]
    assert platform.ledger.check()["audit_broken"] == []
    assert platform.registry.alias("flights", "champion") == "2"
    assert platform.store.address("landing").startswith("s3://")
    for day in ("2013-05-05", "2013-05-06", "2013-06-15"):
        assert list(platform.store.keys(f"scores/flights/{day}/"))


def test_every_message_left_the_outbox(platform: Any) -> None:
    """Lineage of every finished step is in the store, and none waits in the ledger."""
    assert platform.ledger.check()["outbox"] == 0
    assert list(platform.store.keys("lineage/"))
