"""The door: `run_step` and `resume_step`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.runner.resume import resume_step, tick
    from backbeat.runner.run import run_step

__all__ = ["resume_step", "run_step", "tick"]

_HOMES = {
    "resume_step": "backbeat.runner.resume",
    "tick": "backbeat.runner.resume",
    "run_step": "backbeat.runner.run",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.runner' has no attribute {name!r}")
