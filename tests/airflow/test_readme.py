"""The README's lines for an existing Airflow."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_ten_lines_are_a_dag() -> None:
    """The README's snippet parses and has the two tasks that it shows, one after the other."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (code,) = [block for block in blocks if "backbeat_provider" in block]
    names: dict[str, object] = {}
    exec(compile(code, str(README), "exec"), names)  # noqa: S102 - it is our own README
    assert names["drift"].downstream_task_ids == {"ask"}  # type: ignore[attr-defined]
