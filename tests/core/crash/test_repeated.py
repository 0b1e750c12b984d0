"""What is done twice at MLflow: by a lost answer, or by a worker that was believed dead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from parcels import MODEL, Season

from backbeat.errors import LeaseHeld
from backbeat.registry import MlflowRegistry


@pytest.fixture
def log() -> Callable[[Any], str]:
    """Logs one small model, always as the same effect."""
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    model = LinearRegression().fit(rows, 2 * rows["x"])

    def once(registry: Any) -> str:
        run_id: str = registry.log_model(
            model,
            effect_id="twice",
            experiment="twice",
            predict="predict",
            sample=rows,
            params={},
            metrics={"rows": 3},
            tags={},
        )
        return run_id

    return once


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a call of MLflow's client reach the server twice, the first answer lost."""
    from mlflow import MlflowClient

    def repeat(name: str) -> None:
        call = getattr(MlflowClient, name)

        def called(*args: Any, **named: Any) -> Any:
            call(*args, **named)
            return call(*args, **named)

        monkeypatch.setattr(MlflowClient, name, called)

    return repeat


def test_a_run_that_was_created_twice(
    season: Season, log: Callable[[Any], str], twice: Callable[[str], None]
) -> None:
    """One of them is finished, and the other does not look alive for ever."""
    before = set(season.stores()["mlflow"]["runs"])
    twice("create_run")
    run_id = log(season.platform.registry)
    added = dict(set(season.stores()["mlflow"]["runs"]) - before)
    assert added.pop(run_id) == "FINISHED"
    assert list(added.values()) == ["KILLED"]
    assert season.platform.registry.run_metrics(run_id) == {"rows": 3.0}


def test_a_version_that_was_created_twice(season: Season, twice: Callable[[str], None]) -> None:
    """The older one counts, and the younger one is gone."""
    from mlflow import MlflowClient

    registry = season.platform.registry
    source = registry.resolve(f"models:/{MODEL}/1").run_id
    twice("create_model_version")
    made = registry.register(MODEL, source=source, effect_id="twice", tags={})
    assert made.version == "3"
    uri = f"sqlite:///{season.folder}/mlflow.db"
    seen = MlflowClient(uri, uri).search_model_versions(f"name = '{MODEL}'")
    assert sorted(int(found.version) for found in seen) == [1, 2, 3]
    assert registry.register(MODEL, source=source, effect_id="twice", tags={}) == made


def test_a_worker_that_slept_finishes_no_second_run(
    season: Season, log: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it sleeps in its upload another attempt logs the model; awake, it leaves that alone."""
    from mlflow import MlflowClient

    upload = MlflowClient.log_model_artifacts
    other = MlflowRegistry(tracking_uri=f"sqlite:///{season.folder}/mlflow.db")
    finished: list[str] = []

    def slept(*args: Any, **named: Any) -> None:
        monkeypatch.setattr(MlflowClient, "log_model_artifacts", upload)
        finished.append(log(other))
        upload(*args, **named)

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", slept)
    before = season.stores()["mlflow"]
    with pytest.raises(LeaseHeld, match="a later attempt has closed the run"):
        log(season.platform.registry)
    after = season.stores()["mlflow"]
    added = dict(set(after["runs"]) - set(before["runs"]))
    assert [run for run, status in added.items() if status == "FINISHED"] == finished
    assert len(added) == 2
    assert season.platform.registry.find_run("twice") == finished[0]
    assert len([state for _, state in after["logged_models"] if state == 2]) == 3  # READY
    assert log(season.platform.registry) == finished[0]
