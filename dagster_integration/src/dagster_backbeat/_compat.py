"""The one place that imports what Dagster does not export.

A runless check evaluation opens a partitioned gate only if it says which materialization it is
about, and the record that says so has no public name (Dagster 1.13). Nor have the records of why a
step or a run has failed, the job behind *Materialize* on assets, and the records of evaluations.
"""

from __future__ import annotations

from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as TargetMaterialization,
)
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.events import JobFailureData, StepFailureData
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "IMPLICIT_ASSET_JOB_NAME",
    "AssetCheckExecutionRecord",
    "AssetCheckExecutionRecordStatus",
    "JobFailureData",
    "SerializableErrorInfo",
    "StepFailureData",
    "TargetMaterialization",
]
