"""The one step that the tests of this folder perform."""

from __future__ import annotations

from typing import Any

from backbeat import Actor, RunIdentity
from backbeat.kinds import step_from_fields
from backbeat.steps import BatchInference

QUICK: dict[str, Any] = {
    "resilience": {"deadline_seconds": 5, "base_seconds": 0.001, "cap_seconds": 0.002},
    "jobs": {"poll_seconds": 0.01},
}


def step_of(address: str, **given: Any) -> BatchInference:
    """The step, with what a test does not care about filled in."""
    serving = {**QUICK, **given.pop("serving", {})}
    fields = {
        "model": address,
        "data": "day.parquet",
        "output_key": "scores/day",
        "key": ["id"],
        "column": "said",
        "serving": serving,
        **given,
    }
    step = step_from_fields(BatchInference, fields)
    assert isinstance(step, BatchInference)
    return step


def identity(*, attempt: int = 1, run: str = "r1") -> RunIdentity:
    """One attempt."""
    return RunIdentity(
        workflow="nightly",
        run=run,
        task="score",
        attempt=attempt,
        actor=Actor(id="ana", method="python"),
    )
