"""A drift check for each model of a file, in a DAG of the user's own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG, TaskGroup

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


def dag_bag(path: Path) -> Any:
    """The DAGs of a file, parsed as Airflow parses them."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag
    return DagBag(str(path))


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


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's DAG file in a folder of DAGs, with its file of models beside it."""
    text = PAGE.read_text()
    (models,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (snippet,) = [
        found for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "airflow" in found
    ]
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "models.yaml").write_text(models)
    (dags / "watch.py").write_text(snippet)
    # `dag.test()` looks a DAG's file up in its bundle
    bundle = {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(dags)},
    }
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
    return dags / "watch.py"


@pytest.mark.usefixtures("airflow_database")
def test_the_pages_dag_checks_each_model(
    page: Path, folder: Path, context: Callable[..., dict[str, Any]]
) -> None:
    """Airflow parses it from any folder and runs a task a model, which checks the run's own day."""
    landing = folder / "store" / "landing"
    landing.mkdir(parents=True)
    for number, day in enumerate(("2024-05-01", "2024-05-02")):
        random = np.random.default_rng(number)
        table = {"weight_kg": random.gamma(2, 3, 5000), "distance_km": random.normal(size=5000)}
        pq.write_table(pa.table(table), landing / f"{day}.parquet")
    for key in ("monitors/parcels/reference.json", "profiles/weights.json"):
        profile = BuildProfileOperator(
            task_id="profile", data="landing/2024-05-01.parquet", output_key=key
        )
        profile.execute(context(profile))
    bag = dag_bag(page)
    assert not bag.import_errors
    run = bag.dags["watch"].test(logical_date=datetime(2024, 5, 2, tzinfo=UTC))
    verdicts = {
        task.task_id: task.xcom_pull(task_ids=task.task_id)["verdict"]
        for task in run.get_task_instances()
    }
    assert verdicts == {"drift_parcels": "stable", "drift_weights": "stable"}
    kept = [path.name for path in folder.glob("store/monitors/weights/*/2024-05-02.json")]
    assert kept == ["2024-05-02.json"]


@pytest.mark.usefixtures("airflow_database")
def test_a_slip_is_the_import_error_of_that_dag(page: Path) -> None:
    """What Airflow shows names the file, the model and the field."""
    models = page.with_name("models.yaml")
    models.write_text(models.read_text().replace("columns", "colums"))
    (told,) = dag_bag(page).import_errors.values()
    assert "models.yaml: weights has the unknown field 'colums'" in told
    assert "did you mean columns?" in told


def test_tasks_stand_in_the_users_own_group(file: Path) -> None:
    """A task group is the user's, and its name stands before each task's."""
    with DAG("watch", schedule=None) as dag, TaskGroup("nightly"):
        drift_checks(file)
    assert set(dag.task_ids) == {"nightly.drift_near", "nightly.drift_far"}
