"""The season's promises, measured with backbeat's own parts."""

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pyarrow import dataset as ds

from backbeat.data import FolderStore
from backbeat.drift import build_profile, decide
from backbeat.quality import Suite, check_table
from backbeat.reference import Dataset
from backbeat.training import compare
from flights import settings
from flights.landing import land_night
from flights.season import SEASON, STORY, Night
from flights.training import train

NIGHTS = {night.day: night for night in SEASON}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("season")


def _open(root: Path, key: str, night: date, shift: int, days: int) -> ds.Dataset:
    files = Dataset(uri=key, until=night, shift=shift, days=days).uris()
    return ds.dataset([str(root / file) for file in files])


def _training(root: Path, night: date) -> dict[str, ds.Dataset]:
    window = (night, settings.TRAIN_SHIFT, settings.TRAIN_DAYS)
    return {
        "features": _open(root, settings.SCHEDULE, *window),
        "labels": _open(root, settings.LABELS, *window),
    }


def test_every_letter_of_the_story_is_told() -> None:
    """The nights are in order, and each part of the story has one."""
    assert [night.day for night in SEASON] == sorted(NIGHTS)
    assert {night.story for night in SEASON} == set(STORY)
    assert [night.story for night in SEASON if night.kills_worker] == ["f"]


def test_every_gap_and_every_fault_is_followed_by_what_it_needs() -> None:
    """A gap is said in the note, and a fault is followed by the very next night, which mends it."""
    for before, after in pairwise(SEASON):
        gap = after.day - before.day > timedelta(days=1)
        assert gap == ("left out" in after.note)
        assert not (gap and before.fault)
    assert SEASON[-1].fault is None


@pytest.mark.parametrize("night", SEASON, ids=lambda night: f"{night.day}-{night.story}")
def test_quality_stops_broken_data_and_nothing_else(night: Night, root: Path) -> None:
    """Tomorrow's schedule passes the suite on every night but (e)'s, where a unit changed."""
    land_night(FolderStore(root), night)
    suite = Suite.model_validate({"name": "flights", "expectations": settings.SUITE})
    result = check_table(_open(root, settings.SCHEDULE, night.day, settings.SCORE_SHIFT, 1), suite)
    failed = [item.column for item in result.results if not item.success]

    assert failed == (["distance_miles"] * 2 if night.story == "e" else [])


def test_drift_and_comparison_tell_the_story(root: Path) -> None:
    """Only (c) and (d) drift; the challenger of (c) is better, row by row and day by day."""
    columns = settings.DRIFT_COLUMNS
    champion: Any = None
    reference: Any = None
    told = []
    for night in SEASON:
        land_night(FolderStore(root), night)
        if night.story == "e":
            continue
        verdict = "no_reference"
        if reference is not None:
            window = (night.day, settings.DRIFT_SHIFT, settings.DRIFT_DAYS)
            current = build_profile(
                _open(root, settings.SCHEDULE, *window), columns=columns, edges_from=reference
            )
            verdict = decide(reference, current, effect_floor=settings.DRIFT_FLOOR).verdict
        if verdict == "stable":
            told.append((night.story, verdict, ""))
            continue
        data = _training(root, night.day)
        challenger = train(data, settings.TRAIN_PARAMS)
        better = "first"
        if champion is not None:
            better = _compare(root, night.day, champion, challenger)
        told.append((night.story, verdict, better))
        if better != "not_better":
            champion = challenger
            reference = build_profile(data["features"], columns=columns)

    assert told == [
        ("a", "no_reference", "first"),
        ("b", "stable", ""),
        ("b", "stable", ""),
        ("c", "drifted", "better"),
        ("b", "stable", ""),
        ("d", "drifted", "not_better"),
        ("f", "stable", ""),
    ]


def _compare(root: Path, night: date, champion: Any, challenger: Any) -> str:
    window = (night, settings.COMPARE_SHIFT, settings.COMPARE_DAYS)
    features = _open(root, settings.SCHEDULE, *window).to_table().to_pandas()
    labels = _open(root, settings.LABELS, *window).to_table().to_pandas()
    flights = features.merge(labels, on=settings.KEY, validate="1:1")
    scores = [
        model.predict_proba(flights[list(settings.FEATURES)])[:, 1]
        for model in (champion, challenger)
    ]
    days = flights["flight_date"].astype(str).to_numpy()
    verdicts = {
        compare(
            flights[settings.LABEL].to_numpy(), *scores, metric=metric, groups=groups, samples=500
        ).verdict
        for metric in ("log_loss", "brier")
        for groups in (None, days)
    }
    assert len(verdicts) == 1
    return str(verdicts.pop())
