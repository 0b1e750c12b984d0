"""`drift run`: the models of a file, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]
FILE = """
version: 1
models:
  near: {current: "landing/{partition}.parquet", reference: profiles/all.json}
  gone: {current: "elsewhere/{partition}.parquet", reference: profiles/all.json}
  weights: {current: "landing/{partition}.parquet", reference: profiles/weights.json}
"""


@pytest.fixture
def models(backbeat: Make, folder: Path, landed: Callable[[Path], None], tmp_path: Path) -> Path:
    """A file of three models, one of which has no data."""
    landed(folder / "store" / "landing")
    words = ("profile", "build", "landing/{day}.parquet", "--until", "2024-01-28", "--days", "28")
    backbeat(*words, "-o", "profiles/all.json")
    backbeat(*words, "--columns", "weight_kg", "-o", "profiles/weights.json")
    path = tmp_path / "models.yaml"
    path.write_text(FILE)
    return path


def test_one_that_fails_keeps_no_other_from_being_checked(backbeat: Make, models: Path) -> None:
    """Each model has its verdict or its error, and the exit code is the gravest."""
    told = backbeat("drift", "run", models, "--partition", "2024-03-03", "--json")
    found = told.json
    assert found["near"]["verdict"] == "drifted"
    assert found["gone"]["error"] == "InvalidData"
    assert found["weights"]["verdict"] == "stable"
    assert told.code == 6
    assert "3 of 3 models" in told.err


def test_the_exit_code_says_whether_all_are_stable(backbeat: Make, models: Path) -> None:
    """0 where they are, 1 where one is not."""
    words = ("drift", "run", models, "--partition", "2024-03-03", "--only")
    assert backbeat(*words, "weights").code == 0
    assert backbeat(*words, "weights", "--only", "near").code == 1


def test_a_dry_run_shows_the_steps_and_writes_nothing(
    backbeat: Make, models: Path, folder: Path
) -> None:
    """They are what `backbeat run` takes."""
    before = sorted(folder.rglob("*"))
    told = backbeat("drift", "run", models, "--partition", "2024-03-03", "--dry-run")
    steps = json.loads(told.out)
    assert steps["near"]["current"] == {"uri": "landing/2024-03-03.parquet"}
    assert sorted(folder.rglob("*")) == before


def test_a_retry_of_the_same_run_gives_the_same_answer(backbeat: Make, models: Path) -> None:
    """What was recorded is handed out again."""
    words = ("drift", "run", models, "--partition", "2024-03-03", "--only", "near")
    first = backbeat(*words, "--run", "night-1", "--json").json
    assert backbeat(*words, "--run", "night-1", "--json").json == first
