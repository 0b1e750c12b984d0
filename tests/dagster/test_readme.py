"""The README's lines for an existing Dagster repo."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg

README = Path(__file__).parents[2] / "README.md"


def test_the_ten_lines_are_definitions() -> None:
    """The README's snippet loads, and its asset is there."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (code,) = [block for block in blocks if "dagster_backbeat" in block]
    names: dict[str, object] = {}
    exec(compile(code, str(README), "exec"), names)  # noqa: S102 - it is our own README
    defs = names["defs"]
    assert isinstance(defs, dg.Definitions)
    assert dg.AssetKey(["orders", "drift"]) in defs.resolve_asset_graph().get_all_asset_keys()
