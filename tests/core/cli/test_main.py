from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import backbeat as package

Make = Callable[..., Any]


def test_help_documents_the_exit_codes(backbeat: Make) -> None:
    """Whoever writes a cron job finds what each code means."""
    text = " ".join(backbeat("--help").out.split())
    assert "Exit codes: 0 ok; 1 a check failed or a gate blocked; 2 wrong usage; 3 refused" in text
    assert "4 waiting for people; 5 an error that a retry can cure; 6 an error that it" in text


def test_the_version_is_the_packages(backbeat: Make) -> None:
    """`version` prints what is installed."""
    assert backbeat("version", "--json").json["backbeat"] == package.__version__


def test_tick_sends_and_settles(backbeat: Make, asking: Path) -> None:
    """A tick on a quiet platform does nothing and says so."""
    backbeat("run", asking)
    backbeat("tick")
    assert backbeat("tick", "--json").json == {"settled": 0, "delivered": 0}


def test_a_platform_that_is_not_named_is_an_error(tmp_path: Path) -> None:
    """Without --folder and BACKBEAT_FOLDER, the real command says what to set."""
    found = subprocess.run(
        [sys.executable, "-c", "from backbeat.cli.main import main; main()", "tick", "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (found.returncode, found.stdout) == (6, "")
    error = json.loads(found.stderr)
    assert error["error"] == "UnmetNeed"
    assert "--folder" in error["hint"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("signoff",), ("runs",), ("ledger",)])
def test_without_a_command_there_is_help(backbeat: Make, words: tuple[str, ...]) -> None:
    """A group without a command shows what there is, as wrong usage."""
    said = backbeat(*words)
    assert said.code == 2
    assert "Usage: " in said.out + said.err


def test_validating_imports_nothing_heavy(start_python: Make, tmp_path: Path) -> None:
    """Checking a step in CI needs neither database nor data library."""
    (tmp_path / "s.json").write_text('{"kind": "signoff.request/v1", "subject": "x"}')
    source = """
import sys
from backbeat.cli.main import app
try:
    app(["validate", sys.argv[1]])
except SystemExit as ended:
    assert ended.code == 0
heavy = {"sqlalchemy", "mlflow", "pyarrow", "pandas", "great_expectations"}
print(sorted(heavy & set(sys.modules)))
"""
    process = start_python(source, tmp_path / "s.json")
    out, errors = process.communicate(timeout=60)
    assert out.splitlines()[-1] == "[]", errors
