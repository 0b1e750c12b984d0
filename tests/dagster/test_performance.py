"""The performance check as a Dagster asset with its check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_backbeat import BackbeatResource, performance_check

Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def land(resource: BackbeatResource) -> Callable[..., None]:
    """Lands a day's predictions and labels."""

    def tables(day: str, *, turned: bool = False) -> None:
        random = np.random.default_rng(1)
        score = random.uniform(size=500)
        late = (random.uniform(size=500) < (1 - score if turned else score)).astype(int)
        ids = np.arange(500)
        columns = {"scores": {"id": ids, "score": score}, "labels": {"id": ids, "late": late}}
        for name, table in columns.items():
            path = Path(resource.folder) / "store" / name / f"{day}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(table), path)

    return tables


def _asset(days: dg.DailyPartitionsDefinition, **fields: Any) -> dg.AssetsDefinition:
    known: dict[str, Any] = {"key": ["id"], "label_column": "late", "floor": 0.2}
    return performance_check(
        asset="flights/performance",
        model="flights",
        partition="{{ partition_key }}",
        predictions="scores/{{ partition_key }}.parquet",
        partitions_def=days,
        **{**known, **fields},
    )


def _check(result: dg.ExecuteInProcessResult) -> Any:
    (found,) = result.get_asset_check_evaluations()
    return found


def test_the_check_warns_where_the_model_is_worse(
    run_job: Run, land: Callable[..., None], days: dg.DailyPartitionsDefinition
) -> None:
    """A first day passes without a reference; a day whose labels turn round is a warning."""
    land("2013-03-09")
    land("2013-03-10", turned=True)
    asset = _asset(days, labels="labels/{{ partition_key }}.parquet")
    first = run_job([asset], partition_key="2013-03-09")
    second = run_job([asset], partition_key="2013-03-10")

    assert first.success
    assert second.success
    assert _check(first).passed
    found = _check(second)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description.startswith("drifted: roc_auc is 0.")
    (made,) = second.get_asset_materialization_events()
    metadata = made.materialization.metadata
    assert metadata["verdict"].value == "drifted"
    assert "| roc_auc |" in str(metadata["effects"].value)


def test_an_estimate_says_that_it_is_one(
    run_job: Run, land: Callable[..., None], days: dg.DailyPartitionsDefinition
) -> None:
    """Before labels come the check passes on an estimate, and says so."""
    land("2013-03-09")
    land("2013-03-10")
    measured = _asset(days, labels="labels/{{ partition_key }}.parquet")
    assert run_job([measured], partition_key="2013-03-09").success
    found = _check(run_job([_asset(days)], partition_key="2013-03-10"))

    assert found.passed
    assert found.description.startswith("estimated, stable")


def test_a_slip_shows_when_definitions_load(
    days: dg.DailyPartitionsDefinition,
) -> None:
    """A literal that is out of range is named before anything runs."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="min_coverage"):
        _asset(days, min_coverage=80)
