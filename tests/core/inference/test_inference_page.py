"""The page about inference: its snippets are run against a real server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from backbeat.inference.protocols import known_protocols

PAGE = (Path(__file__).parents[3] / "docs" / "inference.md").read_text()
# what is for Dagster is run where Dagster is: tests/dagster/test_inference_page.py
SNIPPETS = [
    snippet
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    if "dagster" not in snippet
]


def test_its_snippets_run(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What they print is what the server has said."""
    names: dict[str, Any] = {"ADDRESS": server.address}
    for snippet in SNIPPETS:
        exec(compile(snippet, "docs/inference.md", "exec"), names)  # noqa: S102
    assert "{'prediction': [2, 4]} 1" in capsys.readouterr().out.replace(".0", "")
    assert names["step"].serving.max_cost == 5.0


def test_every_protocol_has_its_line() -> None:
    """And no line names one that is not there."""
    said = set(re.findall(r"^\| `([a-z0-9-]+)\+", PAGE, re.MULTILINE))
    assert said == set(known_protocols())
