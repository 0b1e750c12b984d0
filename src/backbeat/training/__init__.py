"""Training: the user's own function, called and checked, and the paired comparison of models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.training.comparison import Comparison, compare
    from backbeat.training.fitting import Trained, check_scoreable, fit
    from backbeat.training.function import code_digest, load_function

__all__ = [
    "Comparison",
    "Trained",
    "check_scoreable",
    "code_digest",
    "compare",
    "fit",
    "load_function",
]

_HOMES = {
    "Comparison": "backbeat.training.comparison",
    "compare": "backbeat.training.comparison",
    "Trained": "backbeat.training.fitting",
    "check_scoreable": "backbeat.training.fitting",
    "fit": "backbeat.training.fitting",
    "code_digest": "backbeat.training.function",
    "load_function": "backbeat.training.function",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.training' has no attribute {name!r}")
