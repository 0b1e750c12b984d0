"""The performance check as an Airflow task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from backbeat.errors import InvalidStep
from backbeat_provider.operators import PerformanceCheckOperator

Context = Callable[..., dict[str, Any]]


def _land(folder: Path, *, turned: bool = False) -> dict[str, str]:
    random = np.random.default_rng(1)
    score = random.uniform(size=500)
    late = (random.uniform(size=500) < (1 - score if turned else score)).astype(int)
    ids = np.arange(500)
    tables = {"scores": {"id": ids, "score": score}, "labels": {"id": ids, "late": late}}
    for name, columns in tables.items():
        path = folder / "store" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
    return {"predictions": "scores.parquet", "labels": "labels.parquet"}


def _task(partition: str, **fields: Any) -> PerformanceCheckOperator:
    known = {"model": "flights", "key": ["id"], "label_column": "late", "floor": 0.2}
    return PerformanceCheckOperator(task_id="check", partition=partition, **{**known, **fields})


def test_the_verdict_is_an_output(folder: Path, context: Context) -> None:
    """A worse model is an answer that later tasks read, and not a failed task."""
    first = _task("2013-05-03", **_land(folder))
    assert first.execute(context(first))["verdict"] == "no_reference"
    fields = _land(folder, turned=True)
    second = _task("2013-05-04", **fields)
    found = second.execute(context(second, run_id="manual__2"))

    assert found["kind"] == "drift.performance/v1"
    assert (found["verdict"], found["worse"]) == ("drifted", ["roc_auc", "log_loss"])
    assert second.output["worse"].key == "worse"


def test_without_labels_it_estimates(folder: Path, context: Context) -> None:
    """The same task before labels come says what they will probably show."""
    first = _task("2013-05-03", **_land(folder))
    first.execute(context(first))
    estimate = _task("2013-05-04", predictions="scores.parquet")
    found = estimate.execute(context(estimate, run_id="manual__2"))

    assert (found["verdict"], found["estimated"]) == ("stable", True)


def test_a_slip_shows_when_the_file_is_parsed() -> None:
    """A metric that does not exist is refused before anything runs."""
    with pytest.raises(InvalidStep, match="metrics"):
        _task("2013-05-04", predictions="scores.parquet", metrics=["auc"])


def test_missing_labels_fail_for_good(folder: Path, context: Context) -> None:
    """A table that is not there ends the task with the sentence that says what to do."""
    task = _task("2013-05-03", **{**_land(folder), "labels": "none.parquet"})
    with pytest.raises(AirflowFailException, match=r"none\.parquet"):
        task.execute(context(task))
