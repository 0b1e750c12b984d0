"""A platform in a folder, and attempts that run on it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backbeat import Actor, Platform, RunIdentity, embedded
from backbeat.ledger import SqliteLedger


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """An embedded platform whose outbox nobody drains behind the test's back."""
    made = embedded(tmp_path / "platform", registry=False)
    made.sinks = {}
    return made


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    """Where the platform's ledger lies."""
    return tmp_path / "platform" / "ledger.db"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    """A ledger of its own, in a folder that does not exist before."""
    with closing(SqliteLedger(tmp_path / "alone" / "ledger.db")) as opened:
        yield opened


@pytest.fixture
def attempt() -> Callable[..., RunIdentity]:
    """Builds the identity of an attempt; anything can be said otherwise."""

    def build(**fields: Any) -> RunIdentity:
        known = {
            "workflow": "nightly",
            "run": "run-1",
            "task": "step",
            "actor": Actor(id="ana", method="python"),
        }
        return RunIdentity.model_validate({**known, **fields})

    return build


@pytest.fixture
def rows() -> Callable[..., list[dict[str, Any]]]:
    """Reads a ledger's rows with the standard library, without backbeat's own code."""

    def read(path: Path, query: str, *values: Any) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    return read


@pytest.fixture
def ledger_dump() -> Callable[[Path], list[str]]:
    """Everything in a ledger, to compare before and after."""

    def dump(path: Path) -> list[str]:
        with closing(sqlite3.connect(path)) as connection:
            return list(connection.iterdump())

    return dump


@pytest.fixture
def folder_dump() -> Callable[[Path], dict[str, bytes]]:
    """Every file under a folder with its bytes, to compare before and after."""

    def dump(folder: Path) -> dict[str, bytes]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return dump


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts real processes that run a piece of Python; whatever is left at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(source: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", source, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of a given size (`64k`), for running out of room on it."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk-{size}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting a small disk takes root: run the tests as root in a container")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def fill() -> Callable[[Path], Path]:
    """Takes all the room that is left on a disk; returns the file that holds it."""

    def take(folder: Path) -> Path:
        filler = folder / "filler"
        with filler.open("ab", 0) as file:
            for size in (4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue
        return filler

    return take
