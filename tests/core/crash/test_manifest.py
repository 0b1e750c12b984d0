"""The manifest of batch scoring, killed between any of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from killing import Point
from parcels import DAYS, MODEL, Season, schedule, scoring

from backbeat import Done
from backbeat.inference import read_scores

DATA = f"landing/parcels/{DAYS[3]}.parquet"
SHARDS = 3  # 800 rows, 300 a shard
NEW = scoring(DATA, model=f"models:/{MODEL}/2")
# each with the entries that there are then; a shard is a file (os.replace) and an entry (os.link)
SHARD_POINTS = {
    "before": (Point("after", "os:replace", nth=2), 1),
    "before-file": (Point("before", "os:replace", nth=2), 1),
    "inside": (Point("before", "os:link", nth=2), 1),
    "inside-linked": (Point("after", "os:link", nth=2), 2),
    "after": (Point("after", "store.create", nth=2), 2),
}
PUBLISH_POINTS = {
    "before": Point("before", "store.write"),
    "inside-unnamed": Point("before", "os:replace", nth=SHARDS + 1),
    "inside-named": Point("after", "os:replace", nth=SHARDS + 1),
    "after": Point("after", "store.write"),
    "recorded": Point("after", "ledger.finish"),
}


@pytest.fixture(scope="module")
def scored(played: Season, tmp_path_factory: pytest.TempPathFactory) -> Season:
    """A season whose output holds the scores of version 1, which readers follow."""
    season = played.copy_to(tmp_path_factory.mktemp("scored") / "season")
    season.run(scoring(DATA, model=f"models:/{MODEL}/1"), task="old")
    season.platform.ledger.close()  # type: ignore[attr-defined]
    return season


@pytest.fixture(scope="module")
def undisturbed(scored: Season, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, pa.Table]:
    """The outcome and the scores of version 2 where nobody disturbs it."""
    season = scored.copy_to(tmp_path_factory.mktemp("undisturbed") / "season")
    outcome = season.run(NEW)
    assert isinstance(outcome, Done)
    return outcome, _read(season)


@pytest.fixture
def season(scored: Season, tmp_path: Any) -> Season:
    """Such a season of this test's own."""
    return scored.copy_to(tmp_path / "season")


@pytest.mark.parametrize("window", SHARD_POINTS)
def test_one_row_a_shard(
    window: str,
    season: Season,
    attempts: Callable[..., Any],
    undisturbed: tuple[Done, pa.Table],
) -> None:
    """What has an entry is scored no more, what has none is scored again, and each row once."""
    point, entries = SHARD_POINTS[window]
    old = _read(season)
    tries = attempts(season)
    tries.killed(NEW, point)
    assert len(_entries(season)) == SHARDS + entries
    assert _read(season).equals(old)

    _is_whole(tries.performed(NEW), season, undisturbed, reused=entries)
    _is_whole(tries.replayed(NEW), season, undisturbed, reused=SHARDS)


@pytest.mark.parametrize("window", PUBLISH_POINTS)
def test_one_manifest(
    window: str,
    season: Season,
    attempts: Callable[..., Any],
    undisturbed: tuple[Done, pa.Table],
) -> None:
    """Readers follow the old manifest or the new one, each with all of its scores."""
    old = _read(season)
    tries = attempts(season)
    tries.killed(NEW, PUBLISH_POINTS[window])
    published = window not in {"before", "inside-unnamed"}
    assert _read(season).equals(undisturbed[1] if published else old)

    _is_whole(tries.performed(NEW), season, undisturbed, reused=SHARDS)
    _is_whole(tries.replayed(NEW), season, undisturbed, reused=SHARDS)


def _is_whole(
    outcome: Done, season: Season, undisturbed: tuple[Done, pa.Table], *, reused: int
) -> None:
    wanted, scores = undisturbed
    assert outcome.value == {**wanted.value, "reused": reused}
    assert outcome.outputs == wanted.outputs
    assert len(_entries(season)) == 2 * SHARDS
    found = _read(season)
    assert found.equals(scores)
    assert sorted(found["parcel_id"].to_pylist()) == schedule(DAYS[3])["parcel_id"].to_pylist()


def _entries(season: Season) -> list[str]:
    return list(season.platform.store.keys("scores/new/_manifest/"))


def _read(season: Season) -> pa.Table:
    return read_scores(season.platform.store, "scores/new")
