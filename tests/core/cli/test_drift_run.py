"""`drift run`: the models of a file, one after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat.identity import Actor

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


def test_people_read_why_one_failed_and_what_to_do(backbeat: Make, models: Path) -> None:
    """The table has a row for it; the error and its hint stand below, where they break no table."""
    told = backbeat("drift", "run", models, "--partition", "2024-03-03")
    assert re.search(r"^gone +failed", told.out, re.MULTILINE)
    assert re.search(r"^near +drifted +no +distance_km", told.out, re.MULTILINE)
    assert re.search(r"^gone: InvalidData: .*\n  hint: ", told.err, re.MULTILINE)


def test_an_error_that_nobody_expects_costs_that_model_only(backbeat: Make, models: Path) -> None:
    """The others are checked, and the code says that a retry can help."""
    text = models.read_text().replace("elsewhere", "landing")
    models.write_text(text.replace("gone: {", f"gone: {{monitor: {'m' * 300}, "))
    told = backbeat("drift", "run", models, "--partition", "2024-03-02", "--json")
    assert told.json["gone"]["error"] == "OSError"
    assert told.json["weights"]["verdict"] == "stable"
    assert told.code == 5
    assert "Traceback" in told.err


def test_without_a_monitor_what_moved_is_told(backbeat: Make, models: Path) -> None:
    """There are no mutes then, and so no alarms apart from what moved."""
    models.write_text(models.read_text().replace("near: {", "near: {monitor: '', "))
    told = backbeat("drift", "run", models, "--partition", "2024-03-03", "--only", "near")
    assert re.search(r"^near +drifted +no +distance_km", told.out, re.MULTILINE)


def test_what_policy_refuses_is_told_so(
    backbeat: Make, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal has its own code, as in `backbeat run`; the built-in rules refuse nobody else."""
    nobody = Actor(id="nobody", method="anonymous")
    monkeypatch.setattr("backbeat.cli.drift_run.operating_system_user", lambda: nobody)
    told = backbeat("drift", "run", models, "--partition", "2024-03-03", "--only", "near", "--json")
    assert told.json["near"]["error"] == "Refused"
    assert told.code == 3


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


def test_a_retry_of_the_same_run_checks_nothing_again(
    backbeat: Make, models: Path, folder: Path
) -> None:
    """What was recorded is handed out again; another run checks, and so writes its report."""
    words = ("drift", "run", models, "--partition", "2024-03-03", "--only", "near")
    first = backbeat(*words, "--run", "night-1", "--json").json
    report = folder / "store" / first["near"]["report"]
    report.unlink()
    assert backbeat(*words, "--run", "night-1", "--json").json == first
    assert not report.exists()
    backbeat(*words, "--run", "night-2")
    assert report.exists()
