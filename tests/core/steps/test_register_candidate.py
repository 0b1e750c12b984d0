from __future__ import annotations

from parcels import MODEL, Season, attempt, documented_value, step, training

from backbeat import Done, embedded, run_step
from backbeat.steps import RegisterCandidate

DAY = "landing/parcels/2024-05-01.parquet"


def trained(season: Season) -> str:
    """The URI of a model that is not registered yet."""
    outcome = season.run(training(DAY, train_params={"C": 0.25}))
    assert isinstance(outcome, Done)
    return str(outcome.value["model_uri"])


def test_a_model_becomes_a_version(season: Season) -> None:
    """The next version number is given, with the tags and the day that the step names."""
    source = trained(season)
    outcome = season.run(
        step(
            "model.candidate",
            model=MODEL,
            source=source,
            trained_through="2024-05-01",
            tags={"team": "ops"},
        )
    )

    assert isinstance(outcome, Done)
    assert set(outcome.value) == documented_value(RegisterCandidate)
    assert outcome.value["version"] == "3"
    assert outcome.value["uri"] == f"models:/{MODEL}/3"
    assert outcome.value["run_id"] in source
    version = season.platform.registry.resolve(f"models:/{MODEL}/3")
    assert version.tags["team"] == "ops"
    assert version.tags["backbeat.trained_through"] == "2024-05-01"


def test_the_same_source_is_the_same_version(season: Season) -> None:
    """A retry and another night find the version and register nothing."""
    candidate = step("model.candidate", model=MODEL, source=trained(season))
    first = season.run(candidate)
    before = season.stores()["mlflow"]

    assert season.run(candidate, attempt=2) == first
    assert season.run(candidate, run="night-2") == first
    assert season.stores()["mlflow"] == before


def test_registers_without_a_ledger(season: Season) -> None:
    """At rung 0 the source alone keeps a second version from being made."""
    alone = embedded(season.folder, ledger=False)
    candidate = step("model.candidate", model=MODEL, source=trained(season))
    found = [run_step(candidate, attempt(run=run), alone) for run in ("night-1", "night-2")]

    assert found[0] == found[1]
    assert season.versions()[-1] == (MODEL, 3)
    assert len(season.versions()) == 3
