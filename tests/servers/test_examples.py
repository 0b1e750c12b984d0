"""The example `score_on_triton` on both orchestrators, against the real Triton."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from serving import ROOT, Served

_ASKED = os.environ.get("SERVERS", "").split()
_FILE = ROOT / "example_dags" / "play_inference.py"
_spec = importlib.util.spec_from_file_location("play_inference", _FILE)
assert _spec is not None
assert _spec.loader is not None
play_inference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(play_inference)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("orchestrator", ["airflow", "dagster"])
@pytest.mark.parametrize(
    "served", ["triton" if "triton" in (_ASKED or ["triton"]) else ""], indirect=True
)
def test_a_killed_worker_costs_the_requests_under_way(
    served: Served, orchestrator: str, tmp_path: Path
) -> None:
    """Each row has its score once, in order, and Triton counts at most four requests twice."""
    if not (ROOT / f".venv-{orchestrator}" / ".ready").exists():
        pytest.skip(f"{orchestrator} is not installed: make .venv-{orchestrator}/.ready")
    assert play_inference.play(orchestrator, tmp_path / orchestrator, served.addresses["binary"])
