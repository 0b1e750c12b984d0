"""The metrics on labelled rows, each with a standard error that knows which rows share a day."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from backbeat.drift.performance.measured import METRICS, Measured, Metric, Task, measured

__all__ = ["log_losses", "measure"]

_Floats = NDArray[np.float64]
# a metric, its value, how each row moves it, and the rows that count; None where it is undefined
_Found = tuple[Metric, float, _Floats, float]


def measure(
    truth: _Floats,
    prediction: _Floats,
    *,
    task: Task,
    threshold: float = 0.5,
    days: NDArray[np.int64] | None = None,
    confidence: float = 0.95,
) -> dict[Metric, Measured]:
    """Every metric of a task with its interval.

    The standard error is that of the linearised metric: each row's influence on it (for `roc_auc`
    the components of DeLong, DeLong & Clarke-Pearson 1988), summed by day (Obuchowski 1997; Liang &
    Zeger 1986), with Student's quantile for days - 1, as what one day's weather does to a thousand
    flights is one observation. With one day, or without `days`, rows count as independent.

    Args:
        truth: What happened, shape (n,), without NaN: 0 or 1 for classification.
        prediction: Probabilities of class 1, or predicted values, shape (n,).
        task: `classification` or `regression`.
        threshold: A probability from here on is class 1, for `accuracy` and `f1`.
        days: Which day each row is of, as any whole number, shape (n,).
        confidence: Of the intervals, between 0 and 1.

    Returns:
        By metric; `roc_auc` and `f1` have no value where the labels do not define them.
    """
    if len(truth) == 0:
        return {name: Measured(value=None, reason="no row has a label") for name in METRICS[task]}
    if task == "classification":
        found = _classification(truth, prediction, threshold)
    else:
        found = _regression(truth, prediction)
    if days is not None:
        days = np.unique(days, return_inverse=True)[1]
    results: dict[Metric, Measured] = {}
    for name, value, influence, count in found:
        error, units = _error(influence, days)
        if count and value in {0.0, 1.0}:
            # all right or all wrong is not certain: Agresti & Coull 1998
            share = (value * count + 2) / (count + 4)
            error = max(error, float(np.sqrt(share * (1 - share) / (count + 4))))
        results[name] = measured(
            name,
            value,
            error,
            units=units,
            clustered=units < len(truth) and days is not None,
            confidence=confidence,
        )
    undefined = Measured(value=None, reason=f"every label is {truth[0]:g}")
    return {name: results.get(name, undefined) for name in METRICS[task]}


def log_losses(truth: _Floats, probability: _Floats) -> _Floats:
    """Each row's log loss; probabilities are clipped to the machine epsilon, as elsewhere."""
    smallest = np.finfo(np.float64).eps
    clipped = np.clip(probability, smallest, 1 - smallest)
    return -np.log(np.where(truth == 1, clipped, 1 - clipped))


def _classification(truth: _Floats, score: _Floats, threshold: float) -> Iterator[_Found]:
    rows = len(truth)
    positive = truth == 1
    chosen = score >= threshold
    if 0 < np.count_nonzero(positive) < rows:
        yield _area(positive, score)
    yield _mean("log_loss", log_losses(truth, score))
    yield _mean("brier", np.square(score - truth))
    yield _mean("accuracy", (chosen == positive).astype(np.float64), share=True)
    both = chosen.astype(np.float64) + positive
    if both.any():
        hits = 2.0 * (chosen & positive)
        f1 = float(hits.sum() / both.sum())
        yield "f1", f1, (hits - f1 * both) / both.sum(), float(np.count_nonzero(both))


def _regression(truth: _Floats, prediction: _Floats) -> Iterator[_Found]:
    residual = prediction - truth
    yield _mean("mae", np.abs(residual))
    _, square, influence, _ = _mean("rmse", np.square(residual))
    root = float(np.sqrt(square))
    yield "rmse", root, influence / (2 * root) if root else influence, 0.0
    yield _mean("bias", residual)


def _mean(metric: Metric, values: _Floats, *, share: bool = False) -> _Found:
    value = float(values.mean())
    return metric, value, (values - value) / len(values), float(len(values)) if share else 0.0


def _area(positive: NDArray[np.bool_], score: _Floats) -> _Found:
    values, place = np.unique(score, return_inverse=True)
    ones = np.bincount(place, weights=positive, minlength=len(values))
    zeros = np.bincount(place, minlength=len(values)) - ones
    below = (np.cumsum(zeros) - zeros / 2) / zeros.sum()
    above = 1 - (np.cumsum(ones) - ones / 2) / ones.sum()
    placement = np.where(positive, below[place], above[place])
    area = float(placement[positive].mean())
    influence = (placement - area) / np.where(positive, ones.sum(), zeros.sum())
    return "roc_auc", area, influence, float(min(ones.sum(), zeros.sum()))


def _error(influence: _Floats, days: NDArray[np.int64] | None) -> tuple[float, int]:
    """Standard error, and how many units it counts as independent."""
    if days is not None and days.max() > 0:
        influence = np.bincount(days, weights=influence).astype(np.float64)
    units = len(influence)
    if units == 1:
        return 0.0, 1
    return float(np.sqrt(units / (units - 1) * np.square(influence).sum())), units
