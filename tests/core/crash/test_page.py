"""The page with the table of windows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "crash-windows.md").read_text()
# what a cell may say instead of naming a test: why it has none
ELSEWHERE = (
    "see the published manifest",
    "see the cell to the right: both follow the finish",
    "see the cell to the right: it follows the finish",
    "as above",
    "Dagster writes it as one event",
    "Dagster writes it as one row",
)
NAMED = re.findall(r"`((?:tests/)?[\w/]+\.py)::(\w+)(\[[\w-]+\])?`", PAGE)
COLUMNS = {
    "before",
    "inside",
    "after",
    "after, not recorded",
    "recorded, not known",
    "after, still in the outbox",
    "recorded",
    "deleted",
}


def _rows() -> list[list[str]]:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_cell_names_a_test() -> None:
    """No window of any effect is left out without a reason."""
    cells = [(row[0], cell) for row in _rows() for cell in row[1:]]
    bare = {
        (name, cell)
        for name, cell in cells
        if ".py::" not in cell and cell not in COLUMNS and cell not in ELSEWHERE
    }
    assert bare == set()
    assert len(cells) > 60


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """The tests of this folder, as `file.py::name[window]`."""
    command = f"{sys.executable} -m pytest --collect-only -q -p no:xdist tests/core/crash".split()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {line.rpartition("/")[2] for line in done.stdout.splitlines() if "::" in line}


def test_every_test_that_is_named_exists(collected: set[str]) -> None:
    """A test that was renamed, or lost a window, is missed here."""
    missing = []
    for file, name, window in NAMED:
        if file.startswith("tests/"):  # in another environment: its text has to do
            text = (ROOT / file).read_text() if (ROOT / file).exists() else ""
            found = f"def {name}(" in text
        else:
            found = f"{file}::{name}{window}" in collected
        if not found:
            missing.append(f"{file}::{name}{window}")
    assert missing == []


def test_every_window_is_on_the_page(collected: set[str]) -> None:
    """A window that a test knows is told to people."""
    told = {f"{file}::{name}{window}" for file, name, window in NAMED}
    cells = "|".join(sorted({name for _, name, window in NAMED if window}))
    known = {test for test in collected if re.search(rf"::({cells})\[", test)}
    assert known - told == set()
