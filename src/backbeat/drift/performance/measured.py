"""One metric with its interval, and what is known about each metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "MINIMUM_ROWS",
    "MINIMUM_UNITS",
    "SHARES",
    "Measured",
    "Metric",
    "Task",
    "measured",
    "t_quantile",
]

Task = Literal["classification", "regression"]
Metric = Literal["roc_auc", "log_loss", "brier", "accuracy", "f1", "mae", "rmse", "bias"]

METRICS: Mapping[Task, tuple[Metric, ...]] = {
    "classification": ("roc_auc", "log_loss", "brier", "accuracy", "f1"),
    "regression": ("mae", "rmse", "bias"),
}
DEFAULT_METRICS: Mapping[Task, tuple[Metric, ...]] = {
    "classification": ("roc_auc", "log_loss"),
    "regression": ("mae", "rmse"),
}
SHARES: frozenset[Metric] = frozenset({"roc_auc", "accuracy", "f1"})  # 0 to 1, more is better

MINIMUM_ROWS = 30
MINIMUM_UNITS = 5  # days below which their spread says too little


class Measured(BaseModel):
    """A metric of one batch.

    Args:
        value: In the metric's own unit; None where it is not defined.
        low: Lower end of the interval.
        high: Upper end.
        error: Standard error; 0 for a number without one.
        units: What the interval counts as independent: days, or rows where no day is known.
        clustered: Whether those are days.
        reason: Why there is no value.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    value: float | None
    low: float | None = None
    high: float | None = None
    error: float = 0.0
    units: int = 0
    clustered: bool = False
    reason: str = ""


def measured(
    metric: Metric, value: float, error: float, *, units: int, clustered: bool, confidence: float
) -> Measured:
    """A metric with its Student interval on `units` - 1 degrees of freedom, within its range."""
    half = t_quantile((1 + confidence) / 2, units - 1) * error
    low, high = value - half, value + half
    if metric != "bias":
        low = max(low, 0.0)
    if metric in SHARES:
        high = min(high, 1.0)
    return Measured(value=value, low=low, high=high, error=error, units=units, clustered=clustered)


def t_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t; at least one degree of freedom is taken."""
    from scipy.special import stdtrit

    return float(stdtrit(max(freedom, 1), probability))
