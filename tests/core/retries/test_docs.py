"""The page about retries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backbeat.retries import workflow_budget
from backbeat.retries.budget import EARNED_PER_CALL, EndpointBudget

PAGE = (Path(__file__).parents[3] / "docs" / "retries.md").read_text()


def test_its_snippet_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the page shows can be pasted: the second attempt's answer is printed."""
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "retries.md", "exec"), {})  # noqa: S102 - it is our own page
    assert capsys.readouterr().out == "0.93\n"


def test_its_numbers_are_the_codes() -> None:
    """The budgets' sizes are what the page says."""
    workflow = workflow_budget("airflow:nightly")
    endpoint = EndpointBudget("https://host", lambda: pytest.fail("asked")).budget  # type: ignore[arg-type, return-value]
    assert f"| {workflow.capacity:g} | one a minute |" in PAGE
    assert workflow.refill_per_second == pytest.approx(1 / 60)
    assert f"| {endpoint.capacity:g} | {EARNED_PER_CALL:g} a call that is wanted |" in PAGE
