"""`quality`: a suite on a table, and its history."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]
DAY = "landing/2024-03-01.parquet"
MONITOR = "monitors/parcels"


@pytest.fixture
def suite(folder: Path, landed: Callable[[Path], None], tmp_path: Path) -> Callable[..., Path]:
    """Writes a suite whose distances may reach so far."""
    landed(folder / "store" / "landing")

    def write(most: float = 1000) -> Path:
        path = tmp_path / "suite.json"
        kwargs = {"column": "distance_km", "min_value": 0, "max_value": most}
        kind = "expect_column_values_to_be_between"
        found = {"name": "parcels", "expectations": [{"type": kind, "kwargs": kwargs}]}
        path.write_text(json.dumps(found))
        return path

    return write


def test_good_data_ends_with_0_and_bad_with_1(backbeat: Make, suite: Any, folder: Path) -> None:
    """The summary and each expectation are said; the report is a page."""
    good = backbeat("quality", "check", DAY, "--suite", suite(), "--report", "r.html")
    assert (good.code, good.out.startswith("Suite parcels: all 1 expectations hold")) == (0, True)
    assert (folder / "store" / "r.html").read_text().startswith("<!doctype html>")
    bad = backbeat("quality", "check", DAY, "--suite", suite(5), "--json")
    assert (bad.code, bad.json["success"], bad.json["rows"]) == (1, False, 2000)


def test_results_are_kept_and_told_batch_by_batch(backbeat: Make, suite: Any) -> None:
    """A dry run keeps none."""
    for day, most, *more in (("01", 1000), ("02", 5), ("03", 1000, "--dry-run")):
        data = f"landing/2024-03-{day}.parquet"
        words = ("--monitor", MONITOR, "--partition", f"2024-03-{day}", *more)
        backbeat("quality", "check", data, "--suite", suite(most), *words)
    (loose, strict) = sorted(
        backbeat("quality", "history", MONITOR, "--json").json, key=lambda line: line["failures"]
    )
    assert (loose["batches"], loose["failures"]) == (1, 0)
    assert (strict["latest_failure"], strict["failures"]) == ("2024-03-02", 1)
    assert "2 batches, 2024-03-01 to 2024-03-02" in backbeat("quality", "history", MONITOR).out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("history", "monitors/none"), 6, "has no results"),
        (("check", DAY, "--suite", "none.json"), 2, "cannot be read"),
        (("check", DAY, "--suite", "{suite}", "--monitor", MONITOR), 2, "needs --partition"),
        (("check", "landing/none.parquet", "--suite", "{suite}"), 6, "none.parquet"),
    ],
)
def test_slips_are_explained(
    backbeat: Make, suite: Any, words: tuple[str, ...], code: int, says: str
) -> None:
    """Wrong usage is 2, what is not there is 6."""
    path = str(suite())
    told = backbeat("quality", *(word.replace("{suite}", path) for word in words))
    assert told.code == code
    assert says in told.err


def test_a_batch_that_fails_is_drawn(backbeat: Make, suite: Any) -> None:
    """A character a batch, as high as the share that was unexpected."""
    for day in ("01", "02"):
        words = ("--monitor", MONITOR, "--partition", f"2024-03-{day}")
        backbeat("quality", "check", f"landing/2024-03-{day}.parquet", "--suite", suite(5), *words)
    said = backbeat("quality", "history", MONITOR).out
    assert "2 of 2" in said
    assert "██" in said


@pytest.mark.parametrize(
    ("option", "wrong", "right"),
    [
        ("--column", "distance", "distance_km"),
        ("--expectation", "expect_column_to_be_between", "expect_column_values_to_be_between"),
    ],
)
def test_the_history_can_be_of_some(
    backbeat: Make, suite: Any, option: str, wrong: str, right: str
) -> None:
    """By column or type; one that nothing is known of is told, with what was meant."""
    words = ("--monitor", MONITOR, "--partition", "2024-03-01")
    backbeat("quality", "check", DAY, "--suite", suite(), *words)
    told = backbeat("quality", "history", MONITOR, option, wrong)
    assert (told.code, f"did you mean {right}?" in told.err) == (6, True)
    (line,) = backbeat("quality", "history", MONITOR, option, right, "--json").json
    assert right in line.values()
