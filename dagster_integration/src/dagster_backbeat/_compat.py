"""The one place that imports what Dagster does not export.

A runless check evaluation opens a partitioned gate only if it says which materialization it is
about, and the record that says so has no public name (Dagster 1.13).
"""

from __future__ import annotations

from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as TargetMaterialization,
)

__all__ = ["TargetMaterialization"]
