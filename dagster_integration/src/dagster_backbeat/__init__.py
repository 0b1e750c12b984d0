"""backbeat for Dagster: the steps around a model as assets, checks and one sensor.

The names below are the public face; each is loaded when it is first used, because `dg` imports
every registered library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dagster_shared.libraries import DagsterLibraryRegistry

if TYPE_CHECKING:
    from dagster_backbeat.alerts import alert_sensor
    from dagster_backbeat.candidate import Training, candidate_model
    from dagster_backbeat.champion import serving_champion
    from dagster_backbeat.collecting import job_sensor
    from dagster_backbeat.comparison import comparison_check
    from dagster_backbeat.drift import drift_check
    from dagster_backbeat.fields import FromAsset, When
    from dagster_backbeat.infer import infer_op
    from dagster_backbeat.inference import inference_asset
    from dagster_backbeat.inference_resource import InferenceResource
    from dagster_backbeat.lifecycle import model_lifecycle
    from dagster_backbeat.lineage import lineage_asset
    from dagster_backbeat.performance import performance_check
    from dagster_backbeat.profile import profile_asset
    from dagster_backbeat.promotion import promoted_model
    from dagster_backbeat.quality import quality_checks
    from dagster_backbeat.resource import BackbeatResource
    from dagster_backbeat.sensor import signoff_sensor
    from dagster_backbeat.signoff import SignoffGate, signoff_gate
    from dagster_backbeat.watchlist import drift_checks

__version__ = "0.2.0"

__all__ = [
    "BackbeatResource",
    "FromAsset",
    "InferenceResource",
    "SignoffGate",
    "Training",
    "When",
    "alert_sensor",
    "candidate_model",
    "comparison_check",
    "drift_check",
    "drift_checks",
    "infer_op",
    "inference_asset",
    "job_sensor",
    "lineage_asset",
    "model_lifecycle",
    "performance_check",
    "profile_asset",
    "promoted_model",
    "quality_checks",
    "serving_champion",
    "signoff_gate",
    "signoff_sensor",
]

_HOMES = {
    "BackbeatResource": "resource",
    "FromAsset": "fields",
    "InferenceResource": "inference_resource",
    "SignoffGate": "signoff",
    "Training": "candidate",
    "When": "fields",
    "alert_sensor": "alerts",
    "candidate_model": "candidate",
    "comparison_check": "comparison",
    "drift_check": "drift",
    "drift_checks": "watchlist",
    "infer_op": "infer",
    "inference_asset": "inference",
    "job_sensor": "collecting",
    "lineage_asset": "lineage",
    "model_lifecycle": "lifecycle",
    "performance_check": "performance",
    "profile_asset": "profile",
    "promoted_model": "promotion",
    "quality_checks": "quality",
    "serving_champion": "champion",
    "signoff_gate": "signoff",
    "signoff_sensor": "sensor",
}

DagsterLibraryRegistry.register("dagster-backbeat", __version__, is_dagster_package=False)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"dagster_backbeat.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'dagster_backbeat' has no attribute {name!r}")
