"""`@task.candidate`: the team's own training, registered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from backbeat import embedded
from backbeat_provider.decorators.candidate import candidate_task

Context = Callable[..., dict[str, Any]]


def _task(function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    with DAG("training", schedule=None):
        decorated = candidate_task(
            python_callable=function, model="flights", task_id="train", **settings
        )
        made = decorated(*arguments)
    return made.operator


@pytest.fixture
def run_id(folder: Path) -> str:
    """A run in the team's MLflow with a model in it, as their own code logs it."""
    import mlflow
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    folder.mkdir()
    platform = embedded(folder, allow_pickle=True)
    platform.registry.ping()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    model = LogisticRegression().fit(np.array([[0.0], [1.0]]), [0, 1])
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(model, name="model", serialization_format="cloudpickle")
    return str(run.info.run_id)


@pytest.mark.usefixtures("airflow_database")
def test_airflow_knows_the_decorator() -> None:
    """With the provider installed, `@task.candidate` is there."""
    from airflow.sdk import task

    with DAG("known", schedule=None):

        @task.candidate(model="flights")
        def train() -> str:
            return "a run id"

        train()


def test_a_returned_run_becomes_a_version(folder: Path, run_id: str, context: Context) -> None:
    """The task's output is the candidate, not what the function has returned."""

    def train(days: int) -> dict[str, Any]:
        assert days == 42
        return {"source": run_id, "trained_through": "2013-04-19"}

    task = _task(train, 42, tags={"team": "a"})
    value = task.execute(context(task))
    assert (value["model"], value["version"]) == ("flights", "1")
    assert value["kind"] == "model.candidate/v1"
    version = embedded(folder).registry.resolve("models:/flights/1")
    assert version.tags["backbeat.trained_through"] == "2013-04-19"
    assert version.tags["team"] == "a"
    again = _task(lambda: run_id)
    assert again.execute(context(again))["version"] == "1"


def test_the_function_may_ask_for_the_context(folder: Path, context: Context) -> None:
    """Like in any task of Airflow's, a parameter named as a context key is filled in."""
    asked: list[str] = []

    def train(run_id: str = None) -> str:  # type: ignore[assignment]  # noqa: RUF013
        asked.append(run_id)
        raise RuntimeError("the team's own error")

    task = _task(train)
    with pytest.raises(RuntimeError, match="the team's own error"):
        task.execute(context(task, run_id="manual__7"))
    assert asked == ["manual__7"]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "train returned NoneType, @task.candidate wants a run id"),
        ({"trained_through": "2013-04-19"}, "train returned dict, @task.candidate wants"),
        ({"source": "a", "rows": 3}, "train returned the unknown key 'rows'"),
    ],
)
def test_another_return_value_is_final(
    folder: Path, context: Context, returned: Any, said: str
) -> None:
    """Anything else fails with what should be returned, and nothing is written."""

    def train() -> Any:
        return returned

    task = _task(train)
    with pytest.raises(AirflowFailException, match=said):
        task.execute(context(task))
    assert not folder.exists()


def test_a_returned_template_is_not_rendered(folder: Path, context: Context) -> None:
    """What user code returns is data: it is not run through the template engine."""
    task = _task(lambda: "runs:/{{ 1 + 1 }}/model")
    with pytest.raises(AirflowFailException, match=r"\{\{ 1 \+ 1 \}\}"):
        task.execute(context(task))


def test_a_bad_literal_fails_the_parse() -> None:
    """The decorator's own fields are checked like an operator's."""
    from backbeat.errors import InvalidStep

    with pytest.raises(InvalidStep, match="trained_through"):
        _task(lambda: "a", trained_through="last spring")


def test_the_arguments_of_the_decorator_are_written_out() -> None:
    """A misspelt argument is refused."""
    with pytest.raises(TypeError, match="modle"), DAG("misspelt", schedule=None):
        candidate_task(python_callable=lambda: "a", model="m", modle="m")()
