"""A drift check for each model of a file, in a DAG of the user's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG

from backbeat.errors import InvalidStep
from backbeat_provider.operators import BuildProfileOperator, DriftGateOperator
from backbeat_provider.watchlist import drift_checks

PAGE = Path(__file__).parents[2] / "docs" / "many-models.md"
FILE = """
version: 1
defaults: {report: ""}
models:
  near: {current: "landing/{partition}.parquet", reference: profiles/near.json}
  far: {current: "landing/{partition}.parquet", reference: profiles/near.json, columns: [x]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of two models."""
    path = tmp_path / "models.yaml"
    path.write_text(FILE)
    return path


def test_each_model_is_a_task_whose_partition_is_rendered(
    file: Path, folder: Path, context: Callable[..., dict[str, Any]]
) -> None:
    """The tasks are the operator's own, with the batch's template in their fields."""
    with DAG("watch", schedule=None):
        tasks = drift_checks(file, partition="{{ ds }}")
    assert {name: task.task_id for name, task in tasks.items()} == {
        "near": "drift_near",
        "far": "drift_far",
    }
    assert tasks["near"].current == "landing/{{ ds }}.parquet"
    assert (tasks["near"].monitor, tasks["near"].partition) == ("monitors/near", "{{ ds }}")
    path = folder / "store" / "landing" / "2024-05-01.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"x": np.linspace(0, 1, 5000)}), path)
    profile = BuildProfileOperator(
        task_id="profile", data="landing/2024-05-01.parquet", output_key="profiles/near.json"
    )
    profile.execute(context(profile))
    (task,) = drift_checks(file, partition="2024-05-01", only=["far"]).values()
    assert task.execute(context(task))["verdict"] == "stable"


def test_a_gate_for_each_and_arguments_for_all(file: Path) -> None:
    """What the operator takes is handed to every task."""
    tasks = drift_checks(file, operator=DriftGateOperator, stop_on=["broken"], retries=7)
    assert {type(task) for task in tasks.values()} == {DriftGateOperator}
    assert {task.retries for task in tasks.values()} == {7}


def test_a_slip_in_the_file_is_an_error_of_the_dag_file(file: Path) -> None:
    """It names the model and the field, while the DAG file is parsed."""
    file.write_text(FILE.replace("columns", "colums"))
    with pytest.raises(InvalidStep, match="far has the unknown field 'colums'"):
        drift_checks(file)


@pytest.mark.usefixtures("airflow_database")
def test_the_pages_snippet_is_a_dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/many-models.md shows parses, with its own file."""
    text = PAGE.read_text()
    (models,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "models.yaml").write_text(models)
    monkeypatch.chdir(tmp_path)
    (snippet,) = [
        found for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "airflow" in found
    ]
    names: dict[str, Any] = {}
    exec(compile(snippet.replace("\nwatch()", "\nmade = watch()"), str(PAGE), "exec"), names)  # noqa: S102
    assert set(names["made"].task_ids) == {"drift_parcels", "drift_weights"}
