"""The operators, one a step; each name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat_provider.operators.batch_inference import BatchInferenceOperator
    from backbeat_provider.operators.build_profile import BuildProfileOperator
    from backbeat_provider.operators.compare_models import CompareModelsOperator
    from backbeat_provider.operators.drift_branch import DriftBranchOperator
    from backbeat_provider.operators.drift_check import DriftCheckOperator
    from backbeat_provider.operators.drift_gate import DriftGateOperator
    from backbeat_provider.operators.inference import InferenceOperator
    from backbeat_provider.operators.log_lineage import LogLineageOperator
    from backbeat_provider.operators.performance_check import PerformanceCheckOperator
    from backbeat_provider.operators.promote_model import PromoteModelOperator
    from backbeat_provider.operators.quality_check import QualityCheckOperator
    from backbeat_provider.operators.register_candidate import RegisterCandidateOperator
    from backbeat_provider.operators.signoff import SignoffOperator
    from backbeat_provider.operators.train_model import TrainModelOperator

__all__ = [
    "BatchInferenceOperator",
    "BuildProfileOperator",
    "CompareModelsOperator",
    "DriftBranchOperator",
    "DriftCheckOperator",
    "DriftGateOperator",
    "InferenceOperator",
    "LogLineageOperator",
    "PerformanceCheckOperator",
    "PromoteModelOperator",
    "QualityCheckOperator",
    "RegisterCandidateOperator",
    "SignoffOperator",
    "TrainModelOperator",
]

_HOMES = {
    "BatchInferenceOperator": "batch_inference",
    "BuildProfileOperator": "build_profile",
    "CompareModelsOperator": "compare_models",
    "DriftBranchOperator": "drift_branch",
    "DriftCheckOperator": "drift_check",
    "DriftGateOperator": "drift_gate",
    "InferenceOperator": "inference",
    "LogLineageOperator": "log_lineage",
    "PerformanceCheckOperator": "performance_check",
    "PromoteModelOperator": "promote_model",
    "QualityCheckOperator": "quality_check",
    "RegisterCandidateOperator": "register_candidate",
    "SignoffOperator": "signoff",
    "TrainModelOperator": "train_model",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
