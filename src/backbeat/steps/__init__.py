"""The steps, one a file; each name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backbeat.kinds import KINDS

if TYPE_CHECKING:
    from backbeat.steps.batch_inference import BatchInference
    from backbeat.steps.build_profile import BuildProfile
    from backbeat.steps.compare_models import CompareModels
    from backbeat.steps.drift_check import DriftCheck
    from backbeat.steps.infer import Infer
    from backbeat.steps.log_lineage import LogLineage
    from backbeat.steps.performance_check import PerformanceCheck
    from backbeat.steps.promote_model import PromoteModel
    from backbeat.steps.quality_check import QualityCheck
    from backbeat.steps.register_candidate import RegisterCandidate
    from backbeat.steps.signoff import Signoff
    from backbeat.steps.train_model import TrainModel

__all__ = [
    "BatchInference",
    "BuildProfile",
    "CompareModels",
    "DriftCheck",
    "Infer",
    "LogLineage",
    "PerformanceCheck",
    "PromoteModel",
    "QualityCheck",
    "RegisterCandidate",
    "Signoff",
    "TrainModel",
]

_HOMES = {path.partition(":")[2]: path.partition(":")[0] for path in KINDS.values()}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.steps' has no attribute {name!r}")
