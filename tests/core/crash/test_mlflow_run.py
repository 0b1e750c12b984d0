"""The MLflow run of a training, killed in every window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from killing import Point
from parcels import DAYS, Season, training

from backbeat import Done, Step

CLIENT = "mlflow:MlflowClient"
POINTS = {
    "before": Point("before", "registry.log_model"),
    "inside-created": Point("after", f"{CLIENT}.create_run"),
    "inside-model": Point("after", f"{CLIENT}.create_logged_model"),
    "inside-half-uploaded": Point("after", "shutil:copy2", nth=2),
    "inside-uploaded": Point("after", f"{CLIENT}.log_model_artifacts"),
    "inside-ready": Point("after", f"{CLIENT}.finalize_logged_model"),
    "after": Point("after", "registry.log_model"),
    "recorded": Point("after", "ledger.finish"),
}


@pytest.fixture
def step() -> Step:
    """A training that nobody has done."""
    return training(f"landing/parcels/{DAYS[0]}.parquet", train_params={"C": 0.5})


@pytest.fixture(scope="module")
def undisturbed(played: Season, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """What the training records where nobody disturbs it."""
    season = played.copy_to(tmp_path_factory.mktemp("undisturbed") / "season")
    step = training(f"landing/parcels/{DAYS[0]}.parquet", train_params={"C": 0.5})
    outcome = season.run(step)
    assert isinstance(outcome, Done)
    return outcome


@pytest.mark.parametrize("window", POINTS)
def test_one_run(
    window: str, step: Step, season: Season, attempts: Callable[..., Any], undisturbed: Done
) -> None:
    """One finished run with its model, whatever is open is closed, and the metrics are told."""
    before = season.stores()["mlflow"]
    tries = attempts(season)
    tries.killed(step, POINTS[window])
    happened = window in {"after", "recorded"}
    left = _added(before, season)
    assert ("FINISHED" in left["runs"].values()) == happened

    retried = tries.performed(step)
    told = retried.value
    added = _added(before, season)
    (finished,) = [run for run, status in added["runs"].items() if status == "FINISHED"]
    assert told["run_id"] == finished
    assert set(added["runs"].values()) <= {"FINISHED", "KILLED"}
    # MLflow's own numbers for READY and FAILED
    assert sorted(added["models"].values()) == sorted(
        [READY] + [FAILED] * (len(added["models"]) - 1)
    )
    assert told["reused"] is happened
    assert season.platform.registry.load(told["model_uri"]).columns == tuple(step.features)
    assert retried.metrics == undisturbed.metrics
    assert retried.inputs == undisturbed.inputs
    own = {"run_id", "model_uri", "reused"}
    assert {name: told[name] for name in told.keys() - own} == {
        name: undisturbed.value[name] for name in undisturbed.value.keys() - own
    }
    assert tries.replayed(step).value == {**told, "reused": True}


READY, FAILED = 2, 3


def _added(before: dict[str, list[Any]], season: Season) -> dict[str, dict[str, Any]]:
    after = season.stores()["mlflow"]
    return {
        "runs": dict(set(after["runs"]) - set(before["runs"])),
        "models": dict(set(after["logged_models"]) - set(before["logged_models"])),
    }
