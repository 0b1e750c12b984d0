"""What the events of a quality and a drift check assert about the data that was read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from parcels import DAYS, Season, drift, quality, schedule

from backbeat import Step, embedded
from backbeat.runner import tick

DAY = "landing/parcels/2024-05-04.parquet"


@pytest.fixture
def told(season: Season) -> Any:
    """Performs a step; returns the assertions of its last event by the dataset's name."""

    def perform(step: Step) -> dict[str, list[dict[str, Any]] | None]:
        season.run(step)
        tick(embedded(season.folder))
        folder = Path(season.folder) / "store" / "lineage"
        events = [json.loads(path.read_bytes()) for path in folder.glob("*.json")]
        (event,) = [
            event
            for event in events
            if event["run"]["facets"]["backbeat"]["step"] == step.digest()
            and event["eventType"] != "START"
        ]
        facets = {
            item["name"]: item["inputFacets"].get("dataQualityAssertions")
            for item in event["inputs"]
        }
        return {name: facet and facet["assertions"] for name, facet in facets.items()}

    return perform


def test_a_quality_check_asserts_each_expectation(told: Any) -> None:
    """Those that hold and those that do not, of a column and of the table."""
    expected = [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "hour", "max_value": 10},
            "severity": "warning",
            "description": "Parcels leave early.",
        },
        {
            "type": "expect_table_row_count_to_equal",
            "kwargs": {"value": 800},
            "description": "A day has 800 parcels.",
        },
    ]
    assert told(quality(DAY, suite=expected)) == {
        DAY: [
            {
                "assertion": "expect_column_values_to_be_between",
                "success": False,
                "column": "hour",
                "severity": "warn",
                "description": "Parcels leave early.",
            },
            {
                "assertion": "expect_table_row_count_to_equal",
                "success": True,
                "severity": "error",
                "description": "A day has 800 parcels.",
            },
        ]
    }


def test_a_check_that_blocks_asserts_all_the_same(season: Season, told: Any) -> None:
    """Its event is a FAIL, on the very table, with what did not hold and what did."""
    expected = [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "hour", "max_value": 9},
        },
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "depot"}},
    ]
    found = told(quality(DAY, suite=expected))
    assert season.ended("blocked") == ["quality.check/v1"]
    assert list(found) == [DAY]
    assert [(item["column"], item["success"]) for item in found[DAY]] == [
        ("hour", False),
        ("depot", True),
    ]


def test_what_could_not_be_judged_is_not_asserted(season: Season, told: Any) -> None:
    """Five rows show nothing of a column: no assertion of it, and the batch's does not hold."""
    few = season.land("landing/few.parquet", schedule(DAYS[3]).slice(0, 5))
    assert told(drift(few, columns=["distance_km", "hour"], report=""))[few] == [
        {"assertion": "drift", "success": False}
    ]


def test_a_drift_check_asserts_the_batch_and_each_column(season: Season, told: Any) -> None:
    """The column that moved does not hold, nor does the batch; nothing is said of the profile."""
    near = schedule(DAYS[3])
    place = near.column_names.index("distance_km")
    season.land(DAY, near.set_column(place, "distance_km", pc.multiply(near["distance_km"], 0.2)))
    found = told(drift(DAY, columns=["distance_km", "hour"], report=""))
    (profile,) = set(found) - {DAY}
    assert found[profile] is None
    batch, *columns = found[DAY]
    assert batch == {"assertion": "drift", "success": False}
    assert {item["column"]: item["success"] for item in columns} == {
        "distance_km": False,
        "hour": True,
    }


def test_a_stable_batch_is_asserted_as_one(season: Season, told: Any) -> None:
    """Whatever reads the facet need not know what drift is."""
    found = told(drift(DAY, columns=["hour"], report=""))
    assert [item["success"] for item in found[DAY]] == [True, True]
