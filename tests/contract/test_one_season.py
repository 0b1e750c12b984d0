"""The season on Airflow and on Dagster: the same steps, decisions, verdicts and scores.

The demos leave their platforms in `.demo/`; where a demo has not been played since the code last
changed, it is played here.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from backbeat import Platform, embedded
from backbeat.inference import read_scores
from flights.played import is_current
from flights.season import SEASON
from flights.table import NightRow, ledger_rows, unexpected

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(1800)


def _played(orchestrator: str, target: str) -> Platform:
    folder = ROOT / ".demo" / orchestrator
    if not is_current(folder):
        done = subprocess.run(
            ["make", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return embedded(folder)


@pytest.fixture(scope="module")
def airflow() -> Platform:
    """The platform that the Airflow demo left."""
    return _played("airflow", "demo")


@pytest.fixture(scope="module")
def dagster() -> Platform:
    """The platform that the Dagster demo left."""
    return _played("dagster", "demo-dagster")


@pytest.fixture(scope="module")
def rows(airflow: Platform, dagster: Platform) -> tuple[list[NightRow], list[NightRow]]:
    """Both tables."""
    return ledger_rows(airflow), ledger_rows(dagster)


def test_the_season_shows_its_story(rows: tuple[list[NightRow], list[NightRow]]) -> None:
    """Every night of both seasons ends as the season says it should."""
    for side in rows:
        assert unexpected(side) == []


def test_the_same_steps_were_performed(rows: tuple[list[NightRow], list[NightRow]]) -> None:
    """Night by night, both orchestrators performed steps of equal digest."""
    for ours, theirs in zip(*rows, strict=True):
        assert ours.steps == theirs.steps, ours.night


def test_the_same_decisions_were_taken(rows: tuple[list[NightRow], list[NightRow]]) -> None:
    """Night by night: quality, drift verdict and columns, decision, by whom, version."""
    for ours, theirs in zip(*rows, strict=True):
        for name in ("quality", "drift", "columns", "decision", "by", "version", "rows", "unique"):
            assert getattr(ours, name) == getattr(theirs, name), (ours.night, name)


def test_the_comparisons_agree(rows: tuple[list[NightRow], list[NightRow]]) -> None:
    """Both models' metrics and the interval are equal within 1e-9."""
    for ours, theirs in zip(*rows, strict=True):
        assert (ours.champion is None) == (theirs.champion is None)
        numbers = [
            (a, b)
            for a, b in (
                (ours.champion, theirs.champion),
                (ours.challenger, theirs.challenger),
                *zip(ours.interval or (), theirs.interval or (), strict=True),
            )
            if a is not None
        ]
        for a, b in numbers:
            assert b == pytest.approx(a, abs=1e-9)


def test_the_scores_agree(airflow: Platform, dagster: Platform) -> None:
    """Every flight of every scored night has the same score within 1e-9, exactly once."""
    compared = 0
    for folder in sorted({key.split("/")[2] for key in airflow.store.keys("scores/flights/")}):
        tables = [
            read_scores(platform.store, f"scores/flights/{folder}").sort_by("flight_id")
            for platform in (airflow, dagster)
        ]
        assert tables[0]["flight_id"].equals(tables[1]["flight_id"])
        assert len(tables[0]["flight_id"].unique()) == len(tables[0])
        ours, theirs = (table["score"].to_numpy() for table in tables)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
        compared += 1
    assert compared == len([night for night in SEASON if night.story != "e"])


def test_both_audit_logs_are_whole(airflow: Platform, dagster: Platform) -> None:
    """Every audit entry of both ledgers still has the hash of its bytes."""
    for platform in (airflow, dagster):
        facts = platform.ledger.check()
        assert facts["audit_broken"] == []
        assert facts["audit_entries"] > 50
        assert facts["outbox"] == 0
