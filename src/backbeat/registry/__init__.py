"""The model registry behind the `Registry` port: MLflow, over a server or an SQLite file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.registry.mlflow_registry import MlflowRegistry

__all__ = ["MlflowRegistry"]


def __getattr__(name: str) -> Any:
    if name == "MlflowRegistry":
        return import_module("backbeat.registry.mlflow_registry").MlflowRegistry
    raise AttributeError(f"module 'backbeat.registry' has no attribute {name!r}")
