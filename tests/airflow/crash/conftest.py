"""Runs as the tests of semantics play them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_FILE = Path(__file__).parents[1] / "semantics" / "conftest.py"
_spec = importlib.util.spec_from_file_location("played_runs", _FILE)
assert _spec is not None
assert _spec.loader is not None
_runs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_runs)

dags, start, models, platform = _runs.dags, _runs.start, _runs.models, _runs.platform
