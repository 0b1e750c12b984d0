"""`@task.drift_check`: the team's own landing, checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from backbeat.errors import InvalidStep
from backbeat_provider.decorators.drift_check import drift_check_task
from backbeat_provider.operators import BuildProfileOperator

Context = Callable[..., dict[str, Any]]


def _task(function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    words = {"reference": "p.json", "report": "", **settings}
    with DAG("landing", schedule=None):
        made = drift_check_task(python_callable=function, task_id="land", **words)(*arguments)
    return made.operator


def _land(folder: Path, name: str, seed: int) -> str:
    path = folder / "store" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pq.write_table(pa.table({"distance": random.uniform(1, 400, 900)}), path)
    return name


@pytest.fixture
def known(folder: Path, context: Context) -> Path:
    """A folder with a reference."""
    task = BuildProfileOperator(
        task_id="profile", data=_land(folder, "a.parquet", 1), output_key="p.json"
    )
    task.execute(context(task))
    return folder


@pytest.mark.usefixtures("airflow_database")
def test_airflow_knows_the_decorator() -> None:
    """With the provider installed, `@task.drift_check` is there."""
    from airflow.sdk import task

    with DAG("known", schedule=None):

        @task.drift_check(reference="p.json")
        def land() -> str:
            return "a.parquet"

        land()


def test_what_it_returns_is_checked(known: Path, context: Context) -> None:
    """The task's output is the check's, and arguments reach the function."""

    def land(seed: int) -> str:
        return _land(known, "b.parquet", seed)

    task = _task(land, 2, effect_floor=0.2)
    value = task.execute(context(task))

    assert (value["verdict"], value["rows"]) == ("stable", 900)
    assert value["kind"] == "drift.check/v1"


def test_it_may_return_a_window(known: Path, context: Context) -> None:
    """The fields of a Dataset are as good as a name."""

    def land() -> dict[str, Any]:
        _land(known, "landing/2024-05-02.parquet", 2)
        return {"uri": "landing/{day}.parquet", "until": "2024-05-02"}

    task = _task(land, effect_floor=0.2)
    assert task.execute(context(task))["rows"] == 900


@pytest.mark.parametrize("returned", [None, 7, "", []])
def test_another_return_value_is_final(folder: Path, context: Context, returned: Any) -> None:
    """Anything else fails with what should be returned, and nothing is written."""

    def land() -> Any:
        return returned

    task = _task(land)
    with pytest.raises(AirflowFailException, match=r"@task.drift_check wants the data's key"):
        task.execute(context(task))
    assert not folder.exists()


def test_a_bad_literal_fails_the_parse() -> None:
    """The decorator's own fields are checked like an operator's, and misspelt ones refused."""
    with pytest.raises(InvalidStep, match="q: "):
        _task(lambda: "a", q=7)
    with pytest.raises(TypeError, match="refrence"):
        _task(lambda: "a", refrence="p.json")
