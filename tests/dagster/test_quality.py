"""One asset check for each expectation, from one run of the suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

import dagster_backbeat as bb

SUITE = {
    "name": "landed",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}},
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "x", "max_value": 2},
        },
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "x", "max_value": 9},
        },
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
    ],
}
NAMES = [
    "quality__not_be_null__x",
    "quality__be_between__x",
    "quality__be_between__x__n2",
    "quality__row_count_to_be_between",
]


@pytest.fixture
def backbeat(tmp_path: Path) -> bb.BackbeatResource:
    """A platform with a landed table whose x is 1, 2 and 3."""
    path = tmp_path / "platform/store/landed.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"x": [1, 2, 3]}), path)
    return bb.BackbeatResource(folder=str(tmp_path / "platform"))


def play(backbeat: bb.BackbeatResource, instance: Any, *checks: str, **fields: Any) -> Any:
    """Runs the asset, its checks, and what lies behind it."""

    @dg.asset
    def landed() -> None:
        """The table."""

    @dg.asset(deps=[landed])
    def behind() -> None:
        """What must not start on bad data."""

    quality = bb.quality_checks(on="landed", data="landed.parquet", suite=SUITE, **fields)
    defs = dg.Definitions(
        assets=[landed, behind], asset_checks=[quality], resources={"backbeat": backbeat}
    )
    selection = None
    if checks:
        keys = [dg.AssetCheckKey(dg.AssetKey("landed"), name) for name in checks]
        selection = dg.AssetSelection.checks(*keys)
    job = dg.define_asset_job("job", selection=selection or dg.AssetSelection.all())
    defs = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    return defs.resolve_job_def("job").execute_in_process(instance=instance, raise_on_error=False)


def test_each_expectation_has_a_check_and_a_failure_stops_what_lies_behind(
    backbeat: bb.BackbeatResource, instance: dg.DagsterInstance
) -> None:
    """Three pass, one fails with its counts; the suite was run once."""
    found = play(backbeat, instance)
    checks = {check.check_name: check for check in found.get_asset_check_evaluations()}
    assert list(checks) == NAMES
    assert [check.passed for check in checks.values()] == [True, False, True, True]
    failed = checks["quality__be_between__x"]
    assert failed.severity is dg.AssetCheckSeverity.ERROR
    assert failed.metadata["unexpected_count"].value == 1
    assert "Unexpected: 1 of 3" in failed.description
    made = {event.asset_key.to_user_string() for event in found.get_asset_materialization_events()}
    assert made == {"landed"}
    runs = [run for run in backbeat.platform.ledger.runs() if run.kind == "quality.check/v1"]
    assert len(runs) == 1


def test_a_failure_that_is_only_reported_warns(
    backbeat: bb.BackbeatResource, instance: dg.DagsterInstance
) -> None:
    """What lies behind goes on, and the result is kept beside the profile."""
    found = play(
        backbeat, instance, on_failure="report", monitor="monitors/landed", partition="today"
    )
    failed = [check for check in found.get_asset_check_evaluations() if not check.passed]
    assert [check.severity for check in failed] == [dg.AssetCheckSeverity.WARN]
    made = {event.asset_key.to_user_string() for event in found.get_asset_materialization_events()}
    assert made == {"landed", "behind"}
    assert backbeat.platform.store.exists("monitors/landed/quality/today.json")


def test_some_of_the_checks_can_be_run_alone(
    backbeat: bb.BackbeatResource, instance: dg.DagsterInstance
) -> None:
    """As a person does from the asset's page."""
    found = play(backbeat, instance, NAMES[0], NAMES[3])
    names = [check.check_name for check in found.get_asset_check_evaluations()]
    assert names == [NAMES[0], NAMES[3]]


def test_a_suite_of_a_project_has_one_check() -> None:
    """It is not read while the definitions load."""
    quality = bb.quality_checks(
        on="landed", data="landed.parquet", context_root="nowhere", suite_name="parcels"
    )
    assert [spec.name for spec in quality.check_specs] == ["quality"]
