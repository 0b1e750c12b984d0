"""Inference: a table scored in shards, every row exactly once, and read back by its manifest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.inference.batch import score
    from backbeat.inference.manifest import read_scores
    from backbeat.inference.scores import as_scores
    from backbeat.inference.scoring import Scored

__all__ = ["Scored", "as_scores", "read_scores", "score"]

_HOMES = {
    "Scored": "backbeat.inference.scoring",
    "as_scores": "backbeat.inference.scores",
    "read_scores": "backbeat.inference.manifest",
    "score": "backbeat.inference.batch",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.inference' has no attribute {name!r}")
