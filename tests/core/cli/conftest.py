"""The command, run in this process; a few tests start the real one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backbeat.cli.main import app
from backbeat.runner.drain import drain_wait

COMMAND = [sys.executable, "-c", "from backbeat.cli.main import main; main()"]


@dataclass(frozen=True)
class Answer:
    """What the command said.

    Args:
        code: Exit code.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The platform's folder, which does not exist yet."""
    return tmp_path / "platform"


@pytest.fixture
def backbeat(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """Runs `backbeat --folder <folder> ...`."""
    monkeypatch.setenv("BACKBEAT_TRACKING_URI", "none")

    def run(*arguments: object, stdin: str | None = None) -> Answer:
        words = ["--folder", str(folder), *map(str, arguments)]
        result = CliRunner().invoke(app, words, input=stdin)
        drain_wait()  # as at the end of the real command's process
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The real command around the platform's ledger, and where it says that it listens."""
    process = subprocess.Popen(
        [*COMMAND, "--folder", str(folder), "serve", "--ledger", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    watchdog = threading.Timer(60, process.kill)  # a service that never speaks ends the wait
    watchdog.start()
    said = process.stdout.readline()
    watchdog.cancel()
    yield process, said
    process.kill()
    process.communicate()


@pytest.fixture(scope="session")
def landed() -> Callable[[Path], None]:
    """Writes 63 days of parcels from 2024-01-01 on; one is missing, on the last many are near."""

    def write(folder: Path) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder.mkdir(parents=True)
        first = date(2024, 1, 1)
        for number in range(63):
            day = first + timedelta(days=number)
            if day == date(2024, 2, 10):
                continue
            random = np.random.default_rng(number)
            distance = random.uniform(1, 400, 2000) * (1 + 0.05 * np.sin(number))
            if day == date(2024, 3, 3):
                distance[:800] = random.uniform(1, 60, 800)
            columns = {
                "weight_kg": random.gamma(2, 3, 2000),
                "distance_km": distance,
                "depot": random.choice(["north", "south", "harbour"], 2000),
            }
            pq.write_table(pa.table(columns), folder / f"{day}.parquet")

    return write


@pytest.fixture
def step_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a step's JSON."""

    def write(**fields: Any) -> Path:
        path = tmp_path / "step.json"
        path.write_text(json.dumps(fields))
        return path

    return write


@pytest.fixture
def asking(step_file: Callable[..., Path]) -> Path:
    """A step that asks one person."""
    return step_file(
        kind="signoff.request/v1",
        subject="Ship [red]it[/red]? \x1b[2J",
        quorum=1,
        evidence={"note": "safe\u202etxt", "better": True},
    )
