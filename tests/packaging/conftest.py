"""Wheels are built once and installed in clean environments, as a stranger would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def uv() -> str:
    """The installer that the Makefile bootstraps."""
    local = ROOT / ".venv-uv/bin/uv"
    found = shutil.which("uv") or (str(local) if local.exists() else None)
    assert found, "uv is missing: run `make test`, which bootstraps it"
    return found


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of the three distributions."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in (ROOT, ROOT / "airflow_provider", ROOT / "dagster_integration"):
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
        done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def clean(
    tmp_path_factory: pytest.TempPathFactory, uv: str, wheels: Path
) -> Callable[[str, str], Callable[[str], str]]:
    """Make an environment with one distribution, and run Python code in it."""

    def install(distribution: str, pins: str) -> Callable[[str], str]:
        home = tmp_path_factory.mktemp("clean")
        python = home / "bin" / "python"
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(home)], check=True)
        command = [uv, "pip", "install", "-q", "-p", str(python), "--find-links", str(wheels)]
        pinned = ["-c", str(ROOT / "requirements" / pins)]
        done = subprocess.run(
            [*command, *pinned, distribution], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

        def run(code: str) -> str:
            result = subprocess.run(
                [str(python), "-c", code], capture_output=True, text=True, check=False, cwd=home
            )
            assert result.returncode == 0, result.stderr
            return result.stdout.strip()

        return run

    return install
