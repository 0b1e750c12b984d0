"""The files that steps leave in the store, killed in every window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from killing import Point
from parcels import DAYS, MODEL, Season, drift, profile, quality

from backbeat import Outcome, Step

DATA = f"landing/parcels/{DAYS[3]}.parquet"
STEPS: dict[str, Step] = {
    "quality": quality(DATA),
    "drift": drift(DATA),
    "profile": profile(DATA, model=f"models:/{MODEL}/2"),
    "result": quality(DATA, monitor="monitors/night", partition=f"{DAYS[3]}"),
}
FOLDERS = {
    "quality": "reports/quality/",
    "drift": "reports/drift/",
    "profile": "profiles/new.json",
    "result": "monitors/night/quality/",
}
POINTS = {
    "before": Point("before", "store.write"),
    "inside-unnamed": Point("before", "os:replace"),
    "inside-named": Point("after", "os:replace"),
    "after": Point("after", "store.write"),
    "recorded": Point("after", "ledger.finish"),
}
NOT_THERE = {"before", "inside-unnamed"}
# all of them write alike, and loading the quality library takes seconds
CELLS = [
    (task, window)
    for task in STEPS
    for window in POINTS
    if task != "quality" or window in {"inside-unnamed", "recorded"}
]


@pytest.fixture(scope="module")
def undisturbed(
    played: Season, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Outcome, dict[str, str]]]:
    """The outcome and the files of a step that nobody disturbs."""
    season = played.copy_to(tmp_path_factory.mktemp("undisturbed") / "season")
    known: dict[str, tuple[Outcome, dict[str, str]]] = {}

    def of(task: str) -> tuple[Outcome, dict[str, str]]:
        if task not in known:
            outcome = season.run(STEPS[task], task=task)
            known[task] = outcome, _files(season, task)
        return known[task]

    return of


@pytest.mark.parametrize(("task", "window"), CELLS)
def test_one_file(
    task: str,
    window: str,
    season: Season,
    attempts: Callable[..., Any],
    undisturbed: Callable[[str], tuple[Outcome, dict[str, str]]],
) -> None:
    """It is absent or whole, and after the retry the very file of an undisturbed night."""
    outcome, wanted = undisturbed(task)
    tries = attempts(season)
    tries.killed(STEPS[task], POINTS[window])
    assert _files(season, task) == ({} if window in NOT_THERE else wanted)

    assert tries.performed(STEPS[task]) == outcome
    assert _files(season, task) == wanted
    assert tries.replayed(STEPS[task]) == outcome


@pytest.mark.parametrize("window", ["before", "after"])
def test_a_profile_is_bound_once(window: str, season: Season, attempts: Callable[..., Any]) -> None:
    """Killed on either side of the binding tag, the retry leaves the version with one profile."""
    step, tries = STEPS["profile"], attempts(season)
    tries.killed(step, Point(window, "registry.tag_version"))  # type: ignore[arg-type]
    tags = season.platform.registry.resolve(f"models:/{MODEL}/2").tags
    assert ("backbeat.profile" in tags) == (window == "after")
    retried = tries.performed(step)
    tags = season.platform.registry.resolve(f"models:/{MODEL}/2").tags
    assert tags["backbeat.profile"] == "profiles/new.json"
    assert tries.replayed(step) == retried


def _files(season: Season, task: str) -> dict[str, str]:
    """What readers see: a store's keys, none of which is an unfinished write."""
    digests = season.stores()["store"]
    return {key: digests[key] for key in season.platform.store.keys(FOLDERS[task])}
