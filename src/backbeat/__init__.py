"""backbeat: the steady part behind a model, for Airflow and Dagster.

The names below are the public face; each is loaded when it is first used, so that importing
backbeat in a DAG file costs nearly nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.identity import Actor, RunIdentity
    from backbeat.platform import Platform
    from backbeat.reference import DataRef, Dataset
    from backbeat.runner import resume_step, run_step
    from backbeat.step import Blocked, Done, Outcome, Step, Waiting
    from backbeat.wiring.in_folder import embedded

__version__ = "0.2.0"

__all__ = [
    "Actor",
    "Blocked",
    "DataRef",
    "Dataset",
    "Done",
    "Outcome",
    "Platform",
    "RunIdentity",
    "Step",
    "Waiting",
    "embedded",
    "resume_step",
    "run_step",
]

_HOMES = {
    "Actor": "backbeat.identity",
    "RunIdentity": "backbeat.identity",
    "DataRef": "backbeat.reference",
    "Dataset": "backbeat.reference",
    "resume_step": "backbeat.runner",
    "run_step": "backbeat.runner",
    "Blocked": "backbeat.step",
    "Done": "backbeat.step",
    "Outcome": "backbeat.step",
    "Step": "backbeat.step",
    "Waiting": "backbeat.step",
    "Platform": "backbeat.platform",
    "embedded": "backbeat.wiring",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat' has no attribute {name!r}")
