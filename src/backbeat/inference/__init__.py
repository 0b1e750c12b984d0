"""Inference: one client for every model server, and tables scored in shards, each row once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.inference.batch import score
    from backbeat.inference.client import InferenceClient
    from backbeat.inference.connecting import connect
    from backbeat.inference.manifest import read_scores
    from backbeat.inference.prediction import Prediction, Provenance
    from backbeat.inference.prices import Prices
    from backbeat.inference.resilience import Resilience
    from backbeat.inference.scores import as_scores
    from backbeat.inference.scoring import Scored
    from backbeat.inference.serving import Serving

__all__ = [
    "InferenceClient",
    "Prediction",
    "Prices",
    "Provenance",
    "Resilience",
    "Scored",
    "Serving",
    "as_scores",
    "connect",
    "read_scores",
    "score",
]

_HOMES = {
    "InferenceClient": "backbeat.inference.client",
    "Prediction": "backbeat.inference.prediction",
    "Prices": "backbeat.inference.prices",
    "Provenance": "backbeat.inference.prediction",
    "Resilience": "backbeat.inference.resilience",
    "Serving": "backbeat.inference.serving",
    "connect": "backbeat.inference.connecting",
    "Scored": "backbeat.inference.scoring",
    "as_scores": "backbeat.inference.scores",
    "read_scores": "backbeat.inference.manifest",
    "score": "backbeat.inference.batch",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.inference' has no attribute {name!r}")
