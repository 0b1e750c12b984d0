"""What people were told of a monitor: killed between telling and remembering that they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import killing
import pytest
from killing import Point

from backbeat.alerts import Alert

ALERT = Alert(
    title="Drift",
    text="Drift.",
    kind="drift.check/v1",
    verdict="drifted",
    severity="high",
    columns=("distance_km",),
    cause="sha256:" + "0" * 64,
    workflow="nightly",
    run="night-1",
    task="drift",
    partition="2024-05-04",
)
# the cause is noted first, and then the batch as the newest one
POINTS = {
    "before": Point("before", "store.read"),
    "inside-told": Point("before", "store.write"),
    "inside-unnamed": Point("before", "os:replace"),
    "after": Point("after", "store.write"),
    "after-unnamed": Point("before", "os:replace", nth=2),
    "recorded": Point("after", "store.write", nth=2),
}
# people were told, and nothing of theirs was noted: they hear it a second time
TWICE = {"inside-told", "inside-unnamed"}


@pytest.mark.parametrize("window", POINTS)
def test_people_are_told(window: str, die: Callable[..., None], tmp_path: Path) -> None:
    """At least once, and twice only where the worker died between telling and its note."""
    folder, heard = tmp_path / "platform", tmp_path / "heard"
    heard.touch()
    die(killing.tell, str(folder), str(heard), ALERT, ALERT.partition, POINTS[window])
    before = heard.read_text().split()
    assert before == ([] if window == "before" else [ALERT.partition])

    platform = killing.opened(str(folder), None)
    killing.told_people(platform, str(heard), ALERT, ALERT.partition)
    times = 2 if window in TWICE else 1
    assert heard.read_text().split() == [ALERT.partition] * times

    noted = _noted(platform)
    killing.told_people(platform, str(heard), ALERT, ALERT.partition)
    next_day = replace(ALERT, partition="2024-05-05")
    killing.told_people(platform, str(heard), next_day, next_day.partition)
    assert len(heard.read_text().split()) == times
    assert _noted(platform).keys() == noted.keys()
    platform.ledger.close()  # type: ignore[attr-defined]


def _noted(platform: Any) -> dict[str, bytes]:
    keys = list(platform.store.keys("monitors/night/alerts/"))
    assert [key.rpartition("/")[2] for key in keys] == [f"{'0' * 16}.json", "newest.json"]
    return {key: platform.store.read(key) for key in keys}
