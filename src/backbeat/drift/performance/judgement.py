"""Whether a metric is worse than its reference: by more than a floor, and not by chance."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from pydantic import BaseModel, ConfigDict

from backbeat.drift.performance.measured import (
    MINIMUM_UNITS,
    SHARES,
    Measured,
    Metric,
    t_quantile,
)

__all__ = ["Judged", "PerformanceVerdict", "Standard", "judge"]

PerformanceVerdict = Literal["stable", "drifted", "insufficient_data", "no_reference"]

# a batch is not called stable whose interval hides so many floors, or whose error is so many times
# what batches of the past differed by
_HIDDEN = 2


@dataclass(frozen=True)
class Standard:
    """What a metric is held against.

    Args:
        value: In the metric's unit.
        error: Standard error of the value.
        days: Days behind the error; 0 where it counts rows as independent.
        spread: Standard deviation of one batch around it; None where too few are known.
        batches: Batches that it is the mean of.
    """

    value: float
    error: float = 0.0
    days: int = 0
    spread: float | None = None
    batches: int = 1


class Judged(BaseModel):
    """One metric against its reference.

    Args:
        metric: Which.
        verdict: What follows for this metric.
        value: In this batch.
        reference: What it is held against.
        worse_by: By how much it is worse, in the metric's unit; negative where it is better.
        at_least: Lower end of the interval of that.
        floor: What `worse_by` has to exceed.
        reason: The same as a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: Metric
    verdict: PerformanceVerdict
    value: float | None = None
    reference: float | None = None
    worse_by: float | None = None
    at_least: float | None = None
    floor: float | None = None
    reason: str


def judge(
    metric: Metric,
    now: Measured,
    standard: Standard | None,
    *,
    days: int,
    floor: float,
    scale: float | None,
    level: float,
) -> Judged:
    """Hold a metric against its reference.

    What past batches differed by says what is ordinary, where enough of them are known and this one
    is about as certain; else the standard error of the difference does. Where the batch has fewer
    than five days, the reference's own days say how much a day is worth.

    Args:
        metric: Which.
        now: The batch's.
        standard: The reference's; None where there is none.
        days: Days of the batch; 1 where no day is known.
        floor: A worsening up to here is none: absolute for shares (`roc_auc`, `accuracy`, `f1`),
            else a share of `scale`.
        scale: What a loss or error is measured by, mostly the reference's own value.
        level: Chance of calling an unchanged metric worse.
    """
    if standard is None:
        return Judged(
            metric=metric,
            verdict="no_reference",
            value=now.value,
            reason=f"there is no reference for {metric}",
        )
    if now.value is None:
        return Judged(
            metric=metric,
            verdict="insufficient_data",
            reference=standard.value,
            reason=f"{metric} is not defined: {now.reason}",
        )
    worse_by = _worse_by(metric, now.value, standard.value)
    error, freedom = _error(now, standard, days)
    half = t_quantile(1 - level, freedom) * error
    limit = floor if metric in SHARES else floor * (scale or 0.0)
    said = f"{metric} is {now.value:.4g} against {standard.value:.4g}"
    if worse_by > limit and worse_by > half:
        verdict: PerformanceVerdict = "drifted"
        reason = f"{said}: worse by {worse_by:.3g}, above the floor of {limit:.3g}"
    elif _blurred(now, standard, half, limit):
        verdict = "insufficient_data"
        reason = f"{said}, give or take {half:.3g}: a worsening could hide in that"
    else:
        verdict, reason = "stable", said
    return Judged(
        metric=metric,
        verdict=verdict,
        value=now.value,
        reference=standard.value,
        worse_by=worse_by,
        at_least=worse_by - half,
        floor=limit,
        reason=reason,
    )


def _blurred(now: Measured, standard: Standard, half: float, limit: float) -> bool:
    """Whether a batch says too little to be called stable."""
    if standard.spread is not None:
        return now.error > _HIDDEN * standard.spread
    return half > _HIDDEN * limit


def _worse_by(metric: Metric, now: float, before: float) -> float:
    if metric in SHARES:
        return before - now
    return abs(now) - abs(before)  # of a bias only the size is good or bad


def _error(now: Measured, standard: Standard, days: int) -> tuple[float, int]:
    """Standard error of the difference, and its degrees of freedom."""
    if standard.spread is not None:
        if now.error > _HIDDEN * standard.spread:
            return now.error, now.units - 1
        return standard.spread * sqrt(1 + 1 / standard.batches), standard.batches - 1
    error, units = now.error, now.units
    if days < MINIMUM_UNITS <= standard.days:
        borrowed = standard.error * sqrt(standard.days / days)
        # two or three days cannot say how much days differ
        error, units = max(borrowed, 0.0 if now.clustered else error), standard.days
    return sqrt(error**2 + standard.error**2), units - 1
