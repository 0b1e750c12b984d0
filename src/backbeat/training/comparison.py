"""Paired comparison of two models on the same rows, with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from backbeat.errors import InvalidData, InvalidStep

__all__ = ["MINIMUM_GROUPS", "MINIMUM_ROWS", "Comparison", "Metric", "compare"]

Metric = Literal["log_loss", "brier", "roc_auc", "mae", "rmse"]

MINIMUM_ROWS = 30
MINIMUM_GROUPS = 5

_BINARY = frozenset({"log_loss", "brier", "roc_auc"})
_PROBABILITY = frozenset({"log_loss", "brier"})
_MINIMUM_SAMPLES = 100
_DRAWS_AT_ONCE = 2**20  # row numbers held in memory at a time: 8 MB
_UNDEFINED_ALLOWED = 0.05

_Floats = NDArray[np.float64]
_Counts = NDArray[np.int64]


class Comparison(BaseModel):
    """What a paired comparison found; `difference > 0` means that the challenger is better.

    Args:
        metric: What was measured.
        rows: Number of rows.
        groups: Number of groups that were resampled whole, None where rows were resampled.
        champion: The champion's metric on all rows, in the metric's own direction.
        challenger: The challenger's metric on the same rows.
        difference: Champion minus challenger for losses and errors, the reverse for `roc_auc`.
        low: Lower end of the interval of the difference.
        high: Upper end.
        confidence: Share of such intervals that cover the true difference.
        margin: What `low` had to exceed.
        samples: Number of bootstrap samples.
        seed: Seed of the random generator.
        verdict: `better` where `low > margin`, else `not_better`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: Metric
    rows: int
    groups: int | None
    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    confidence: float
    margin: float
    samples: int
    seed: int
    verdict: Literal["better", "not_better"]


def compare(
    labels: NDArray[Any],
    champion: NDArray[Any],
    challenger: NDArray[Any],
    *,
    metric: Metric,
    groups: NDArray[Any] | None = None,
    confidence: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
    margin: float = 0.0,
) -> Comparison:
    """Compare two models' scores for the same rows, and say how sure the difference is.

    Both models are measured on every resample, so that what makes a row hard for both cancels out.
    The interval is the percentile bootstrap's (Efron & Tibshirani 1993, chapter 13). With
    `groups`, whole groups are resampled (the cluster bootstrap, Davison & Hinkley 1997, section
    3.8): rows of one day share their weather, and resampling them one by one would promise too
    much. Below about 20 groups such an interval is somewhat too narrow.

    `log_loss` clips probabilities to [2.2e-16, 1 - 2.2e-16], the machine epsilon, as scikit-learn
    does: a certain and wrong answer costs 36, not infinity.

    Args:
        labels: What really happened, shape (n,): 0 or 1 for the binary metrics, else numbers.
        champion: The champion's scores, shape (n,): probabilities of class 1 for `log_loss` and
            `brier`, any ranking score for `roc_auc`, predictions for `mae` and `rmse`.
        challenger: The challenger's scores for the same rows, shape (n,).
        metric: `log_loss`, `brier`, `roc_auc`, `mae` or `rmse`.
        groups: Which rows belong together, such as each row's day, shape (n,).
        confidence: Share of such intervals that are to cover the true difference, in (0, 1).
        samples: Number of bootstrap samples, at least 100.
        seed: Seed; the same input and seed give the same numbers.
        margin: What the interval's lower end has to exceed, in units of the metric; below 0 it
            makes this a test of non-inferiority.

    Returns:
        Both metrics, their difference with its interval, and the verdict.

    Raises:
        InvalidData: Lengths differ, values are missing, infinite or out of range, there is one
            class only, or too few rows or groups. A retry does not help.
        InvalidStep: An unknown metric, or a setting out of range. A retry does not help.
    """
    _check_settings(metric, confidence=confidence, samples=samples, margin=margin)
    truth, ours, theirs = _checked(labels, champion, challenger, metric)
    members, group_count = _members(groups, len(truth))
    units = len(truth) if group_count is None else group_count
    resamples = _Resamples(members=members, units=units, samples=samples, seed=seed)
    measure = _ranked if metric == "roc_auc" else _averaged
    points, draws = measure((truth, ours, theirs), metric, resamples)

    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    sign = 1 if metric == "roc_auc" else -1
    return Comparison(
        metric=metric,
        rows=len(truth),
        groups=group_count,
        champion=points[0],
        challenger=points[1],
        difference=sign * (points[1] - points[0]),
        low=float(low),
        high=float(high),
        confidence=confidence,
        margin=margin,
        samples=samples,
        seed=seed,
        verdict="better" if low > margin else "not_better",
    )


@dataclass(frozen=True)
class _Resamples:
    """Draws of whole units with replacement; a unit is a group, or a row where there are none."""

    members: _Counts | None
    units: int
    samples: int
    seed: int

    def __iter__(self) -> Iterator[tuple[slice, _Counts]]:
        """Numbers of the units drawn, in parts of bounded size, shape (part, units)."""
        rng = np.random.default_rng(self.seed)
        at_once = max(1, _DRAWS_AT_ONCE // self.units)
        for first in range(0, self.samples, at_once):
            part = slice(first, min(first + at_once, self.samples))
            yield part, rng.integers(0, self.units, size=(part.stop - part.start, self.units))


def _averaged(
    scores: tuple[_Floats, ...], metric: Metric, resamples: _Resamples
) -> tuple[tuple[float, float], _Floats]:
    """Metrics that are (the root of) a mean of row losses: sums per unit are all that is needed."""
    truth, champion, challenger = scores
    members = resamples.members
    loss = _LOSSES[metric]
    losses = [loss(truth, champion), loss(truth, challenger)]
    means = [float(values.mean()) for values in losses]
    if metric == "rmse":
        points, columns = (np.sqrt(means[0]), np.sqrt(means[1])), losses
    else:
        # a mean of differences is a difference of means: one column to gather, not two
        points, columns = (means[0], means[1]), [losses[0] - losses[1]]
    sizes = None
    if members is not None:
        columns = [np.bincount(members, weights=values).astype(np.float64) for values in columns]
        sizes = np.bincount(members)

    draws = np.empty(resamples.samples)
    for part, drawn in resamples:
        rows = resamples.units if sizes is None else sizes[drawn].sum(axis=1)
        drawn_means = [values[drawn].sum(axis=1) / rows for values in columns]
        if metric == "rmse":
            draws[part] = np.sqrt(drawn_means[0]) - np.sqrt(drawn_means[1])
        else:
            draws[part] = drawn_means[0]
    return (float(points[0]), float(points[1])), draws


def _ranked(
    scores: tuple[_Floats, ...], _metric: Metric, resamples: _Resamples
) -> tuple[tuple[float, float], _Floats]:
    """The area under the ROC curve, from how often each row was drawn: one sort serves all."""
    truth, champion, challenger = scores
    members, samples = resamples.members, resamples.samples
    areas = (_area(truth, champion), _area(truth, challenger))
    everything = np.ones(len(truth), dtype=np.int64)
    points = (areas[0](everything), areas[1](everything))

    draws = np.empty(samples)
    for part, drawn in resamples:
        for place, units_drawn in zip(range(samples)[part], drawn, strict=True):
            times = np.bincount(units_drawn, minlength=resamples.units)
            weights = times if members is None else times[members]
            draws[place] = areas[1](weights) - areas[0](weights)
    defined = draws[~np.isnan(draws)]
    if len(defined) < (1 - _UNDEFINED_ALLOWED) * samples:
        raise InvalidData(
            f"{samples - len(defined)} of {samples} resamples hold one class only, so that "
            "`roc_auc` has no interval.",
            hint="Compare on more rows of the rare class, or with `log_loss` or `brier`.",
        )
    return points, defined


def _area(truth: _Floats, scores: _Floats) -> Callable[[_Counts], float]:
    """The area under the ROC curve as a function of the rows' weights (Mann & Whitney 1947)."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    tied = len(starts) < len(ranked)
    positive = truth[order] == 1

    def area(weights: _Counts) -> float:
        sorted_weights = weights[order].astype(np.float64)
        ones = np.where(positive, sorted_weights, 0.0)
        zeros = sorted_weights - ones
        if tied:
            ones, zeros = np.add.reduceat(ones, starts), np.add.reduceat(zeros, starts)
        below = np.cumsum(zeros)
        pairs = ones.sum() * below[-1]
        return float(ones @ (below - zeros / 2) / pairs) if pairs else float("nan")

    return area


def _log_loss(truth: _Floats, probability: _Floats) -> _Floats:
    smallest = np.finfo(np.float64).eps
    clipped = np.clip(probability, smallest, 1 - smallest)
    return -np.log(np.where(truth == 1, clipped, 1 - clipped))


def _squared(truth: _Floats, prediction: _Floats) -> _Floats:
    return np.square(prediction - truth)


def _absolute(truth: _Floats, prediction: _Floats) -> _Floats:
    return np.abs(prediction - truth)


_LOSSES: dict[str, Callable[[_Floats, _Floats], _Floats]] = {
    "log_loss": _log_loss,
    "brier": _squared,
    "mae": _absolute,
    "rmse": _squared,
}


def _check_settings(metric: str, *, confidence: float, samples: int, margin: float) -> None:
    if metric not in get_args(Metric):
        raise InvalidStep(
            f"There is no metric {metric!r}.",
            hint=f"Choose one of {', '.join(get_args(Metric))}.",
        )
    if not 0 < confidence < 1:
        raise InvalidStep(
            f"The confidence {confidence} is not between 0 and 1.", hint="Write 0.95 for 95 %."
        )
    if samples < _MINIMUM_SAMPLES:
        raise InvalidStep(
            f"{samples} bootstrap samples cannot say where an interval ends.",
            hint=f"Draw at least {_MINIMUM_SAMPLES}; 2000 is usual.",
        )
    if not np.isfinite(margin):
        raise InvalidStep(f"The margin {margin} is not a number.", hint="Leave it at 0.")


def _checked(labels: Any, champion: Any, challenger: Any, metric: str) -> tuple[_Floats, ...]:
    named = {"labels": labels, "champion": champion, "challenger": challenger}
    arrays = tuple(_numbers(name, values) for name, values in named.items())
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise InvalidData(
            f"Labels, champion and challenger have different lengths: {lengths}.",
            hint="Score the same rows with both models, in the same order.",
        )
    if lengths[0] < MINIMUM_ROWS:
        raise InvalidData(
            f"There are {lengths[0]} rows, and a comparison needs at least {MINIMUM_ROWS}.",
            hint="Wait for more labels, or compare over a longer window.",
        )
    if metric in _BINARY:
        _check_classes(arrays[0], metric)
    if metric in _PROBABILITY:
        for name, array in zip(("champion", "challenger"), arrays[1:], strict=True):
            if array.min() < 0 or array.max() > 1:
                raise InvalidData(
                    f"The {name}'s scores reach from {array.min():g} to {array.max():g}, but "
                    f"`{metric}` is about probabilities.",
                    hint="Use `predict_proba`'s column of class 1, or compare by `roc_auc`.",
                )
    return arrays


def _check_classes(labels: _Floats, metric: str) -> None:
    classes = np.unique(labels)
    if not np.isin(classes, (0, 1)).all():
        raise InvalidData(
            f"Labels hold values other than 0 and 1, which `{metric}` cannot judge.",
            hint="Map the classes to 0 and 1, or choose `mae` or `rmse` for a regression.",
        )
    if metric == "roc_auc" and len(classes) == 1:
        raise InvalidData(
            f"Every label is {classes[0]:.0f}, and `roc_auc` needs both classes.",
            hint="Compare over a longer window, or with `log_loss` or `brier`.",
        )


def _numbers(name: str, values: Any) -> _Floats:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidData(
            f"The values of `{name}` are not numbers: {error}.", hint="Pass a column of numbers."
        ) from error
    if array.ndim != 1:
        raise InvalidData(
            f"`{name}` has the shape {array.shape}, not (n,).",
            hint="Pass one score a row; of `predict_proba`, the column of class 1.",
        )
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise InvalidData(
            f"{bad} of {len(array)} values of `{name}` are missing or infinite.",
            hint="Leave out rows without a label or score, for both models alike.",
        )
    return array


def _members(groups: Any, rows: int) -> tuple[_Counts | None, int | None]:
    """Each row's group number, and how many groups there are."""
    if groups is None:
        return None, None
    array = np.asarray(groups)
    if array.shape != (rows,):
        raise InvalidData(
            f"`groups` has the shape {array.shape} for {rows} rows.",
            hint="Pass one group a row, such as its day.",
        )
    try:
        found, members = np.unique(array, return_inverse=True)
    except TypeError as error:
        raise InvalidData(
            f"The groups cannot be told apart: {error}.",
            hint="Give each row its group, and use one type for all.",
        ) from error
    if (found != found).any():  # noqa: PLR0124 (only NaN and NaT differ from themselves)
        raise InvalidData("Some rows have no group.", hint="Give each row its group.")
    if len(found) < MINIMUM_GROUPS:
        raise InvalidData(
            f"There are {len(found)} groups, and an interval needs at least {MINIMUM_GROUPS}.",
            hint="Compare over a longer window, or leave `groups` out where rows are independent.",
        )
    return members.astype(np.int64), len(found)
