"""The version that a candidate becomes, killed in every window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from killing import Point
from parcels import MODEL, Season, step

CLIENT = "mlflow:MlflowClient"
NAME = "parcels-by-air"  # a registered model that does not exist yet
POINTS = {
    "before": Point("before", "registry.register"),
    "inside-named": Point("after", f"{CLIENT}.create_registered_model"),
    "inside-created": Point("after", f"{CLIENT}.create_model_version"),
    "after": Point("after", "registry.register"),
    "recorded": Point("after", "ledger.finish"),
}


@pytest.mark.parametrize("window", POINTS)
def test_one_version(window: str, season: Season, attempts: Callable[..., Any]) -> None:
    """One version with its tags, in the same words as where nobody disturbed it."""
    run = season.platform.registry.resolve(f"models:/{MODEL}/2").run_id
    candidate = step(
        "model.candidate", model=NAME, source=f"runs:/{run}/model", trained_through="2024-05-03"
    )
    tries = attempts(season)
    tries.killed(candidate, POINTS[window])
    there = window in {"inside-created", "after", "recorded"}
    assert _versions(season) == ([(NAME, 1)] if there else [])

    retried = tries.performed(candidate)
    assert _versions(season) == [(NAME, 1)]
    assert retried.value == {
        "model": NAME,
        "version": "1",
        "uri": f"models:/{NAME}/1",
        "run_id": run,
        "link": None,
    }
    tags = season.platform.registry.resolve(f"models:/{NAME}/1").tags
    assert set(tags) == {"backbeat.effect", "backbeat.trained_through"}
    assert tries.replayed(candidate) == retried


def _versions(season: Season) -> list[tuple[Any, ...]]:
    return [found for found in season.versions() if found[0] == NAME]
