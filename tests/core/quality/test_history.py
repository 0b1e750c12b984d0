"""Results beside the profile: kept whole, read back, and counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backbeat.data import FolderStore
from backbeat.errors import InvalidStep
from backbeat.quality.history import QualityHistory, expectation_lines
from backbeat.quality.result import ExpectationResult, QualityResult

MONITOR = "monitors/parcels"


def result(percent: float) -> QualityResult:
    """A result of one expectation that so many percent break."""
    found = ExpectationResult(
        type="expect_column_values_to_not_be_null",
        column="depot",
        success=percent == 0,
        severity="critical",
        unexpected_count=int(percent),
        unexpected_percent=percent,
        observed=None,
        detail="",
        description="depot is never null",
    )
    return QualityResult(success=percent == 0, suite="parcels", rows=100, results=(found,))


@pytest.fixture
def history(tmp_path: Path) -> QualityHistory:
    """Three batches, of which the second fails."""
    found = QualityHistory(FolderStore(tmp_path), MONITOR)
    for day, percent in (("2024-05-03", 0.0), ("2024-05-01", 0.0), ("2024-05-02", 40.0)):
        found.keep(day, result(percent))
    return found


def test_it_tells_how_often_and_how_much(history: QualityHistory) -> None:
    """Batches are in the order of their names, whatever order they were kept in."""
    (line,) = expectation_lines(history.results())
    assert (line.batches, line.failures, line.latest_failure) == (3, 1, "2024-05-02")
    assert line.unexpected == (0.0, 40.0, 0.0)
    assert (line.column, line.description) == ("depot", "depot is never null")


def test_the_same_batch_is_the_same_file(history: QualityHistory, tmp_path: Path) -> None:
    """A retry writes the same bytes, and a repaired batch replaces its result."""
    path = tmp_path / MONITOR / "quality" / "2024-05-02.json"
    before = path.read_bytes()
    history.keep("2024-05-02", result(40.0))
    assert path.read_bytes() == before
    history.keep("2024-05-02", result(0.0))
    assert expectation_lines(history.results())[0].failures == 0


def test_a_damaged_result_is_left_out_and_a_later_field_is_not_in_the_way(
    history: QualityHistory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are read; a warning names the damaged one."""
    folder = tmp_path / MONITOR / "quality"
    (folder / "2024-05-01.json").write_bytes(b"{half")
    newer = json.loads((folder / "2024-05-03.json").read_text())
    (folder / "2024-05-03.json").write_text(json.dumps({**newer, "since": "0.9"}))
    assert [kept.partition for kept in history.results()] == ["2024-05-02", "2024-05-03"]
    assert "2024-05-01.json, which is damaged" in caplog.text


def test_what_is_no_result_is_no_batch(history: QualityHistory, tmp_path: Path) -> None:
    """A note that somebody has put there is not in the way."""
    (tmp_path / MONITOR / "quality" / "README.md").write_text("ask Ana")
    assert history.partitions() == ["2024-05-01", "2024-05-02", "2024-05-03"]


def test_an_expectation_that_comes_later_has_its_own_batches(history: QualityHistory) -> None:
    """Where it was not checked it has no number; the one that failed most often comes first."""
    old = result(0.0)
    new = old.results[0].model_copy(update={"column": "hour", "success": False})
    for day in ("2024-05-04", "2024-05-05"):
        history.keep(day, old.model_copy(update={"results": (*old.results, new)}))
    first, second = expectation_lines(history.results())
    assert (first.column, first.failures, first.batches) == ("hour", 2, 2)
    assert first.unexpected == (None, None, None, 0.0, 0.0)
    assert (second.column, second.failures, second.batches) == ("depot", 1, 5)


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_a_name_that_is_none_is_refused(history: QualityHistory, name: str) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidStep, match="for a file"):
        history.keep(name, result(0.0))


def test_a_name_with_signs_comes_back(history: QualityHistory) -> None:
    """No name leaves the folder."""
    history.keep("../2024 a/b", result(0.0))
    assert "../2024 a/b" in history.partitions()
