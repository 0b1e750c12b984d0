"""One season of parcels a session, copied for every test that wants to write to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent / "example"))

from parcels import CHAMPION, DAYS, FEATURES, MODEL, Season, built_once, outcomes, schedule

from backbeat import Done
from backbeat.kinds import step_from_json


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Season:
    """Six landed days, four nights of labels, and an MLflow database without a model.

    MLflow's first migration takes many seconds: the workers of one test run share it.
    """
    return built_once(tmp_path_factory, "empty", _land)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory, empty: Season) -> Season:
    """The same with a champion of the first two days (version 1), its profile, and a challenger.

    The challenger, version 2, saw the first three days. Nobody may write to it: copy it.
    """
    return built_once(tmp_path_factory, "played", _play, copied_from=empty)


@pytest.fixture
def blank(empty: Season, tmp_path: Path) -> Season:
    """A season of this test's own, with data and without a model."""
    return empty.copy_to(tmp_path / "blank")


@pytest.fixture
def season(played: Season, tmp_path: Path) -> Season:
    """A season of this test's own, with a champion and a challenger."""
    return played.copy_to(tmp_path / "season")


@pytest.fixture(scope="module")
def shared(played: Season, tmp_path_factory: pytest.TempPathFactory) -> Season:
    """A season for tests that show that nothing is written."""
    return played.copy_to(tmp_path_factory.mktemp("shared") / "season")


def _land(season: Season) -> None:
    for number, day in enumerate(DAYS):
        season.land(f"landing/parcels/{day}.parquet", schedule(day))
        if number < 4:  # labels arrive later than the data
            season.land(f"landing/late/{day}.parquet", outcomes(day))
    season.platform.registry.ping()


def _play(season: Season) -> None:
    for version, (until, c) in enumerate([(DAYS[1], 0.001), (DAYS[2], 1.0)], start=1):
        window = {"until": until.isoformat(), "days": until.day}
        trained = _done(
            season,
            {
                "kind": "model.train/v1",
                "function": "parcels:train",
                "data": {
                    "features": {"uri": "landing/parcels/{day}.parquet", **window},
                    "labels": {"uri": "landing/late/{day}.parquet", **window},
                },
                "features": list(FEATURES),
                "train_params": {"C": c},
            },
        )
        _done(
            season,
            {
                "kind": "model.candidate/v1",
                "model": MODEL,
                "source": trained.value["model_uri"],
                "trained_through": trained.value["trained_through"],
            },
        )
        if version == 1:
            _done(
                season,
                {
                    "kind": "drift.profile/v1",
                    "data": {"uri": "landing/parcels/{day}.parquet", **window},
                    "output_key": "profiles/parcels/1.json",
                    "columns": list(FEATURES),
                    "model": f"models:/{MODEL}/1",
                },
            )
            _done(
                season,
                {"kind": "model.promote/v1", "model": MODEL, "version": "1", "alias": "champion"},
            )
    assert season.platform.registry.resolve(CHAMPION).version == "1"


def _done(season: Season, step: dict[str, Any]) -> Done:
    outcome = season.run(step_from_json(step), run="night-0")
    assert isinstance(outcome, Done)
    return outcome


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # MLflow's defaults are files in the working directory: none may ever appear there
    folder = tmp_path / "working-directory"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert list(folder.iterdir()) == []
