"""The alias that a promotion moves, killed in every window, and what a person does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from killing import Point
from parcels import CHAMPION, MODEL, Season, drift, promotion

from backbeat.errors import Conflict

CLIENT = "mlflow:MlflowClient"
# the first tag says who tries, the second that it was done
POINTS = {
    "before": Point("before", "registry.tag_version"),
    "inside-tried": Point("after", "registry.tag_version"),
    "inside-moved": Point("after", f"{CLIENT}.set_registered_model_alias"),
    "inside-read-back": Point("before", "registry.tag_version", nth=2),
    "after": Point("after", "registry.tag_version", nth=2),
    "recorded": Point("after", "ledger.finish"),
}
NOT_MOVED = ("before", "inside-tried")


@pytest.mark.parametrize("window", POINTS)
def test_it_moves_once(window: str, season: Season, attempts: Callable[..., Any]) -> None:
    """It points to the old version or the new one; the retry tells that this promotion moved it."""
    step, tries = promotion(), attempts(season)
    tries.killed(step, POINTS[window])
    seen = season.platform.registry.resolve(CHAMPION).version
    assert seen == ("1" if window in NOT_MOVED else "2")

    retried = tries.performed(step)
    assert season.stores()["mlflow"]["aliases"] == [(MODEL, "champion", 2)]
    assert retried.value == {
        "model": MODEL,
        "version": "2",
        "previous": "1",
        "alias": "champion",
        "changed": True,
        "by": [],
    }
    tags = season.platform.registry.resolve(f"models:/{MODEL}/2").tags
    assert tags["backbeat.promotion.champion"] == retried.evidence["effect"]
    assert tags["backbeat.promoted.champion"] == step.digest()
    assert season.stores()["ledger"]["locks"] == []
    assert tries.replayed(step) == retried


def test_another_alias_of_the_version_is_another_effect(
    season: Season, attempts: Callable[..., Any]
) -> None:
    """Promoted under a second name before the retry, the first promotion still knows its work."""
    step, tries = promotion(), attempts(season)
    tries.killed(step, POINTS["inside-moved"])
    season.run(promotion(alias="canary", expected=None), run="night-2")
    retried = tries.performed(step)
    assert (retried.value["previous"], retried.value["changed"]) == ("1", True)


def test_a_tag_of_an_earlier_release_is_understood(
    season: Season, attempts: Callable[..., Any]
) -> None:
    """A promotion that began under 0.1.0 and died is finished by this release."""
    step, tries = promotion(), attempts(season)
    tries.killed(step, POINTS["inside-moved"])
    client = _client(season)
    effect = client.get_model_version(MODEL, "2").tags["backbeat.promotion.champion"]
    client.delete_model_version_tag(MODEL, "2", "backbeat.promotion.champion")
    client.set_model_version_tag(MODEL, "2", "backbeat.promotion", effect)
    assert tries.performed(step).value["changed"] is True


@pytest.mark.parametrize("window", ["after", "recorded"])
def test_a_rollback_before_the_retry_stays(
    window: str, season: Season, attempts: Callable[..., Any]
) -> None:
    """Once the move is on the version, a person who sets the alias back is not overruled."""
    step, tries = promotion(), attempts(season)
    tries.killed(step, POINTS[window])
    _client(season).set_registered_model_alias(MODEL, "champion", "1")
    with pytest.raises(Conflict, match="has been set back to 1 since"):
        tries.performed(step)
    assert season.platform.registry.resolve(CHAMPION).version == "1"


@pytest.mark.parametrize("window", ["inside-moved", "inside-read-back"])
def test_a_rollback_in_the_same_instant_is_overruled(
    window: str, season: Season, attempts: Callable[..., Any]
) -> None:
    """Between the move and its tag nothing tells a rollback from a move that never was."""
    step, tries = promotion(), attempts(season)
    tries.killed(step, POINTS[window])
    _client(season).set_registered_model_alias(MODEL, "champion", "1")
    assert tries.performed(step).value["changed"] is True
    assert season.platform.registry.resolve(CHAMPION).version == "2"


@pytest.mark.parametrize("window", NOT_MOVED)
def test_a_foreign_hand_before_the_retry_is_a_conflict(
    window: str, season: Season, attempts: Callable[..., Any]
) -> None:
    """A champion that the evidence did not see is left alone."""
    step, tries = promotion(), attempts(season)
    tries.killed(step, POINTS[window])
    registry = season.platform.registry
    source = registry.resolve(f"models:/{MODEL}/1").run_id
    third = registry.register(MODEL, source=source, effect_id="by hand", tags={}).version
    _client(season).set_registered_model_alias(MODEL, "champion", third)
    with pytest.raises(Conflict, match="but the evidence compared with 1: nothing was changed"):
        tries.performed(step)
    assert registry.resolve(CHAMPION).version == third


def test_readers_see_one_champion_throughout(season: Season, attempts: Callable[..., Any]) -> None:
    """While a promotion lies dead with its lock, whoever reads the alias is served."""
    tries = attempts(season)
    tries.killed(promotion(), POINTS["inside-tried"])
    assert season.stores()["ledger"]["locks"] != []
    found = season.run(drift("landing/parcels/2024-05-04.parquet", report=""), run="night-2")
    assert found.value["reference"] == "profiles/parcels/1.json"  # type: ignore[union-attr]


def _client(season: Season) -> Any:
    """A person at MLflow's own page."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{season.folder}/mlflow.db"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)
