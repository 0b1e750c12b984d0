"""Loading definitions is light, and silent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2] / "example_dags" / "dagster"
HEAVY = "mlflow great_expectations pandas pyarrow numpy sklearn scipy matplotlib"


def _run(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "BACKBEAT_FOLDER": str(tmp_path / "platform"),
        "MLFLOW_TRACKING_URI": "sqlite://",
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_is_silent_and_light(tmp_path: Path) -> None:
    """`dg` imports every registered library: this one prints nothing and loads no Dagster core."""
    code = (
        "import sys, dagster_backbeat; from dagster_shared.libraries import DagsterLibraryRegistry;"
        "assert 'dagster-backbeat' in DagsterLibraryRegistry.get();"
        "assert 'dagster' not in sys.modules and 'sqlalchemy' not in sys.modules"
    )
    done = _run(code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_definitions_load_without_heavy_libraries(tmp_path: Path) -> None:
    """The six example pipelines load without one library that a step needs, and write nothing."""
    code = (
        "import sys; from pipelines.definitions import defs; defs().get_repository_def();"
        f"print([name for name in {HEAVY.split()!r} if name in sys.modules])"
    )
    done = _run(code, tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert not (tmp_path / "platform").exists()


def test_dg_checks_the_example_repository(tmp_path: Path) -> None:
    """`dg check defs` passes on the example repository."""
    dg_program = Path(sys.executable).with_name("dg")
    if not dg_program.exists():
        pytest.skip("dg is missing: pip install dagster-dg-cli")
    code = (
        f"import subprocess, sys;sys.exit(subprocess.call([{str(dg_program)!r}, 'check', 'defs']))"
    )
    done = _run(code, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loaded successfully" in done.stdout + done.stderr
