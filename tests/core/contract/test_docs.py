"""What docs/contracts.md shows is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

from backbeat.kinds import step_from_json
from backbeat.steps import BatchInference

PAGE = Path(__file__).parents[3] / "docs" / "contracts.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_snippet_runs() -> None:
    """The page's Python does what its assertions say."""
    (code,) = _blocks("python")
    assert code.count("assert ") == 4
    exec(compile(code, str(PAGE), "exec"), {})  # noqa: S102 - it is our own page


def test_the_step_validates() -> None:
    """The page's step has a contract at both ends."""
    (text,) = _blocks("json")
    step = step_from_json(json.loads(text))
    assert isinstance(step, BatchInference)
    assert step.data.contract
    assert step.output_contract
