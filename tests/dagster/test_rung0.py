"""Rung 0 inside an asset, as its page shows it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "rung0.md"


def test_the_page_runs_in_an_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's asset materializes with the same results as the plain script."""
    module, *codes = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (code,) = [each for each in codes if "dagster" in each]
    (tmp_path / "nightly.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, Any] = {"__name__": "rung_zero"}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - it is our own page
    for reused in (0, 4):
        result = dg.materialize([names["night"]])
        (event,) = result.get_asset_materialization_events()
        found = {name: item.value for name, item in event.materialization.metadata.items()}
        assert found == {
            "drift": "stable",
            "comparison": "better",
            "scored": 2000,
            "reused": reused,
        }
    sys.modules.pop("nightly")
