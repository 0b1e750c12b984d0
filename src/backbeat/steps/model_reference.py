"""A model's one name and version in lineage: its writer and its readers say the same."""

from __future__ import annotations

from backbeat.ports import ModelVersion
from backbeat.reference import DataRef

__all__ = ["registered_model", "run_model"]


def registered_model(version: ModelVersion) -> DataRef:
    """A registered version; its number never means another model."""
    return DataRef(uri=version.uri, digest=version.version, format="model")


def run_model(run_id: str, path: str = "model") -> DataRef:
    """The model that a run logged under a name."""
    return DataRef(uri=f"runs:/{run_id}/{path}", digest=run_id, format="model")
