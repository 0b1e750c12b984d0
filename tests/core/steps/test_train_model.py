from __future__ import annotations

from pathlib import Path
from typing import Any

from parcels import (
    FEATURES,
    MODEL,
    Season,
    attempt,
    documented_value,
    files,
    step,
    training,
)

from backbeat import Done, embedded, run_step
from backbeat.steps import TrainModel

DAY = "landing/parcels/2024-05-01.parquet"


def window(until: str, days: int) -> dict[str, Any]:
    """Features and labels of some days."""
    return {
        name: {"uri": f"landing/{folder}/{{day}}.parquet", "until": until, "days": days}
        for name, folder in (("features", "parcels"), ("labels", "late"))
    }


def test_trains_once(season: Season) -> None:
    """A run with its model, parameters and metrics is logged, and its last day is known."""
    before = season.stores()["mlflow"]
    outcome = season.run(training(DAY, data=window("2024-05-04", 4), train_params={"C": 0.5}))

    assert isinstance(outcome, Done)
    assert set(outcome.value) == documented_value(TrainModel)
    assert outcome.value["reused"] is False
    assert outcome.value["trained_through"] == "2024-05-04"
    assert outcome.value["model_uri"] == f"runs:/{outcome.value['run_id']}/model"
    assert outcome.value["link"] is None
    assert outcome.metrics == {"rows": 3200.0}
    after = season.stores()["mlflow"]
    assert set(after["runs"]) - set(before["runs"]) == {(outcome.value["run_id"], "FINISHED")}
    model = season.platform.registry.load(outcome.value["model_uri"])
    assert model.columns == FEATURES


def test_the_same_content_is_the_same_run(season: Season) -> None:
    """Another night with the same code, data and parameters finds the run and trains nothing."""
    first = season.run(training(DAY))
    before = season.stores()["mlflow"], season.stores()["artifacts"]
    again = season.run(training(DAY), run="night-2")

    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert first.value["reused"] is False
    assert again.value == {**first.value, "reused": True}
    assert (season.stores()["mlflow"], season.stores()["artifacts"]) == before


def test_other_parameters_are_another_run(season: Season) -> None:
    """What the content is made of is the step's own fields too."""
    runs = {
        season.run(training(DAY, train_params={"C": c})).value["run_id"]  # type: ignore[union-attr]
        for c in (0.1, 0.2)
    }

    assert len(runs) == 2


def test_data_without_days_has_no_last_day(season: Season) -> None:
    """A plain file says nothing about days, and a candidate made of it carries no such tag."""
    trained = season.run(training(DAY))
    assert isinstance(trained, Done)
    assert trained.value["trained_through"] is None

    registered = season.run(
        step(
            "model.candidate",
            model=MODEL,
            source=trained.value["run_id"],
            trained_through=str(trained.value["trained_through"]),
        )
    )
    assert isinstance(registered, Done)
    version = season.platform.registry.resolve(registered.value["uri"])
    assert "backbeat.trained_through" not in version.tags


def test_trains_without_a_ledger(season: Season) -> None:
    """At rung 0 the content alone keeps a second run from being made."""
    alone = embedded(season.folder, ledger=False)
    before = files(season.folder)["ledger.db"]
    runs = [
        run_step(training(DAY), attempt(run=f"night-{number}"), alone).value  # type: ignore[union-attr]
        for number in (1, 2)
    ]

    assert runs[0]["run_id"] == runs[1]["run_id"]
    assert [value["reused"] for value in runs] == [False, True]
    assert files(season.folder)["ledger.db"] == before
    assert isinstance(season.folder, Path)
