"""What a monitor remembers: a batch with its decision, and the retraining that it has started."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow.compute as pc
import pytest
from killing import Point
from parcels import DAYS, Season, drift, schedule

MONITOR = "monitors/night"
KNOWN = {"monitor": MONITOR, "partition": f"{DAYS[3]}"}
DATA = f"landing/parcels/{DAYS[3]}.parquet"
# the reference is pinned first, the batch is written last
BATCH = {
    "before": Point("before", "store.write"),
    "inside-pinned": Point("after", "store.write"),
    "inside-decided": Point("after", "store.write", nth=2),
    "inside-unnamed": Point("before", "os:replace", nth=3),
    "after": Point("after", "store.write", nth=3),
    "recorded": Point("after", "ledger.finish"),
}
ACTION = {
    "before": Point("before", "store.create"),
    "inside": Point("before", "os:link"),
    "after": Point("after", "store.create"),
    "recorded": Point("after", "ledger.finish"),
}


@pytest.mark.parametrize("window", BATCH)
def test_one_batch(window: str, season: Season, attempts: Callable[..., Any]) -> None:
    """A decision without its batch is no past; the retry leaves what a quiet night leaves."""
    step, tries = drift(DATA, **KNOWN), attempts(season)
    undisturbed = season.copy_to(season.folder.parent / "undisturbed")
    outcome = undisturbed.run(step)
    tries.killed(step, BATCH[window])
    there = _batch(undisturbed) in season.stores()["store"]
    assert there == (window in {"after", "recorded"})

    assert tries.performed(step) == outcome
    assert _files(season) == _files(undisturbed)
    assert tries.replayed(step) == outcome


@pytest.mark.parametrize("window", ACTION)
def test_one_retraining(window: str, season: Season, attempts: Callable[..., Any]) -> None:
    """However often the batch is tried, it has started one retraining, and says so each time."""
    far = schedule(DAYS[3])
    place = far.column_names.index("distance_km")
    season.land(DATA, far.set_column(place, "distance_km", pc.multiply(far["distance_km"], 0.2)))
    step, tries = drift(DATA, **KNOWN, retrain={"after": 1}, report=""), attempts(season)
    tries.killed(step, ACTION[window])
    started = 1 if window in {"after", "recorded"} else 0
    assert len(_started(season)) == started

    retried = tries.performed(step)
    assert retried.value["action"] == "retrain"
    assert [entry["partition"] for entry in _started(season)] == [KNOWN["partition"]]
    assert tries.replayed(step) == retried


def _files(season: Season) -> dict[str, bytes]:
    store = season.platform.store
    return {key: store.read(key) for key in store.keys(f"{MONITOR}/")}


def _batch(season: Season) -> str:
    (name,) = [key for key in _files(season) if key.endswith(f"/{KNOWN['partition']}.json")]
    return name


def _started(season: Season) -> list[dict[str, Any]]:
    store = season.platform.store
    return [json.loads(store.read(key)) for key in store.keys(f"{MONITOR}/actions/")]
