"""Limits from a column's own history: how unusual is a batch among ordinary batches?

Every statistic of a batch is compared with what the batches before it let expect: the median of
the last ones, corrected for the weekday where that forecasts the past better. The errors of the
same forecast for every past batch say what is ordinary; beyond their upper fifth a generalized
Pareto tail is fitted (Pickands 1975), so that a limit can lie where no batch has been. The most
surprising of all statistics of each past batch, in turn, says how surprising a batch may be
before it is an alarm, so that the share of ordinary batches with any alarm is the one asked for
however many columns there are and however they depend on one another (the idea of Westfall and
Young's maximum statistic, 1993). Both tails are known from few batches only: each is taken as long
as it may be with 95% confidence, in the manner of a tolerance limit (Wilks 1941). It holds for days
that are like the past ones; of a new season nothing is promised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backbeat.drift._arrays import Floats
from backbeat.drift._statistics import Statistic

__all__ = ["Calibrated", "calibrate"]

_TAIL = 0.2
# a tail is never taken to be lighter than a normal distribution's: its point and mean excess there
_NORMAL_POINT, _NORMAL_EXCESS = 1.28, 0.35
_SHAPE_LOW, _SHAPE_HIGH = -0.1, 0.5
_PRIOR = 10
_CONFIDENT = 1.645  # deviations of the 95% quantile of a normal distribution, which a mean has
_TOP = 0.25
_LARGEST = 700.0
_SAME_DAYS = 3
_BETTER = 0.95


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """One statistic of a batch against its history.

    Args:
        statistic: What was measured.
        expected: What the history let expect.
        low: The least value that is ordinary; minus infinity where only a rise is unusual.
        high: The largest value that is ordinary.
        excess: How far the value is beyond its limit: its error over the largest ordinary one.
        usual_error: The largest error of any past batch.
    """

    statistic: Statistic
    expected: float
    low: float
    high: float
    excess: float
    usual_error: float

    @property
    def fired(self) -> bool:
        """Whether the value lies beyond its limit."""
        return self.excess > 1

    @property
    def limit(self) -> float:
        """The limit on the side where the value is."""
        return self.high if self.statistic.value >= self.expected else self.low

    @property
    def effect(self) -> float:
        """The size of the departure, 0 to 1."""
        return self.statistic.effect(self.statistic.value, self.expected)


def calibrate(
    statistics: Sequence[Statistic],
    *,
    days: Sequence[int | None],
    day: int | None,
    acknowledged: Sequence[bool],
    learnt: Sequence[bool],
    window: int,
    false_alarm: float,
) -> list[Calibrated]:
    """Judge every statistic of a batch by its past values.

    Args:
        statistics: All of the batch; those that no past batch has are left out.
        days: The weekday of each past batch, None where it has none.
        day: The weekday of the batch.
        acknowledged: Whether a person has said of a past batch that it is as it should be; what
            is like such a batch is expected.
        learnt: Whether limits are learnt from a past batch; the others only let expect.
        window: How many batches the expected value rests on.
        false_alarm: The share of ordinary batches that may have any statistic beyond its limit.
    """
    batches = len(days)
    kept = np.flatnonzero(learnt)
    usable = [s for s in statistics if np.isfinite(s.past[kept]).sum() > kept.size // 2]
    if not usable or batches < 2:  # noqa: PLR2004
        return []
    past = np.column_stack([s.past for s in usable])
    now = np.asarray([s.value for s in usable])
    rising = np.asarray([s.rising for s in usable])
    errors, expected = _forecast(past, days, day, window)
    error = now - expected
    errors, error = _sided(errors, rising), _sided(error, rising)
    error = np.minimum(error, _to_acknowledged(past, now, rising, acknowledged))
    errors = errors[kept]
    scale = 1.4826 * _median(np.abs(errors))
    floor = np.column_stack([s.past_resolution[kept] for s in usable])
    here = np.maximum(scale, np.asarray([s.resolution for s in usable]))
    here = np.where(here > 0, here, np.finfo(float).tiny)
    there = np.maximum(scale, floor)
    there = np.where(there > 0, there, np.finfo(float).tiny)
    tails = _Tails.fit(errors / there)
    limit = _surprise_limit(tails.of_the_past, false_alarm)
    reach = tails.reach(limit) * here
    largest = np.nanmax(errors, axis=0)
    return [
        Calibrated(
            statistic=s,
            expected=float(expected[at]),
            low=-math.inf if s.rising else float(expected[at] - reach[at]),
            high=float(expected[at] + reach[at]),
            excess=float(error[at] / reach[at]),
            usual_error=float(largest[at]),
        )
        for at, s in enumerate(usable)
    ]


def _sided(errors: Floats, rising: npt.NDArray[np.bool_]) -> Floats:
    return np.where(rising, np.maximum(errors, 0), np.abs(errors))


def _median(values: Floats) -> Floats:
    """Of the first axis, without NaN; 0 where there is nothing else (numpy's own is slow)."""
    ranked = np.sort(values, axis=0)  # NaN last
    number = np.isfinite(ranked).sum(axis=0, keepdims=True)
    low = np.take_along_axis(ranked, np.maximum(number - 1, 0) // 2, axis=0)
    high = np.take_along_axis(ranked, np.minimum(number // 2, len(ranked) - 1), axis=0)
    middle = np.where(number > 0, (low + high) / 2, 0.0)
    return np.asarray(middle[0], dtype=np.float64)


def _forecast(
    past: Floats, days: Sequence[int | None], day: int | None, window: int
) -> tuple[Floats, Floats]:
    """The error of every past forecast, and the forecast for the batch."""
    batches = len(past)
    size = min(window, batches - 1)
    places = np.asarray(
        [[*range(max(0, at - size), at), *range(at + 1, size + 1)][:size] for at in range(batches)]
    )
    errors = past - _median(past[places].swapaxes(0, 1))
    expected = _median(past[-size:])
    if day is None or sum(other == day for other in days) < _SAME_DAYS:
        return errors, expected
    offset = _median(errors[[other == day for other in days]])
    corrected = errors.copy()
    for at, own in enumerate(days):
        same = [row for row, other in enumerate(days) if other == own and row != at]
        if own is not None and len(same) >= _SAME_DAYS - 1:
            corrected[at] -= _median(errors[same])
    better = _usual(corrected) < _BETTER * _usual(errors)
    return np.where(better, corrected, errors), np.where(better, expected + offset, expected)


def _usual(errors: Floats) -> Floats:
    """The mean absolute error, the largest twentieth cut down to the rest's bound."""
    sizes = np.abs(errors)
    return np.asarray(np.nanmean(np.minimum(sizes, np.nanquantile(sizes, 0.95, axis=0)), axis=0))


def _to_acknowledged(
    past: Floats, now: Floats, rising: npt.NDArray[np.bool_], acknowledged: Sequence[bool]
) -> Floats:
    rows = np.flatnonzero(np.asarray(acknowledged))
    if not rows.size:
        return np.full(now.size, np.inf)
    distances = np.stack([_sided(now - past[row], rising) for row in rows])
    return np.asarray(np.where(np.isnan(distances), np.inf, distances).min(axis=0))


@dataclass(frozen=True)
class _Tails:
    """Generalized Pareto tails of the errors of many statistics, in units of their scales."""

    point: Floats
    scale: Floats
    shape: Floats
    of_the_past: Floats

    @classmethod
    def fit(cls, errors: Floats) -> _Tails:
        """Fit by probability-weighted moments (Hosking and Wallis 1987), towards an exponential.

        Each past batch's surprise is that of a tail fitted without it: else the largest error
        would explain itself.
        """
        point = np.maximum(np.nanquantile(errors, 1 - _TAIL, axis=0), _NORMAL_POINT)
        over = np.where(errors > point, errors - point, np.nan)
        number = np.isfinite(over).sum(axis=0)
        shape = _shapes(over, number)
        total = np.nansum(over, axis=0)
        scale = _scale(total, number, shape)
        rest_total = total - np.nan_to_num(over)
        rest_scale = _scale(rest_total, number - np.isfinite(over), shape)
        excess = np.nan_to_num(over)
        surprise = np.where(excess > 0, _surprise(excess, rest_scale, shape), 0.0)
        return cls(point, scale * _longest(number), shape, surprise.max(axis=1))

    def reach(self, surprise: float) -> Floats:
        """The error of so much surprise: minus the logarithm of its probability."""
        beyond = surprise + math.log(_TAIL)
        if beyond <= 0:
            return self.point
        flat = np.abs(self.shape) < 1e-6  # noqa: PLR2004
        shape = np.where(flat, 1.0, self.shape)
        grown = np.where(flat, beyond, np.expm1(shape * beyond) / shape)
        return np.asarray(self.point + self.scale * grown, dtype=np.float64)


def _shapes(over: Floats, number: npt.NDArray[np.int64]) -> Floats:
    ranked = np.sort(over, axis=0)  # NaN last
    place = np.arange(1, len(over) + 1)[:, None]
    weight = np.where(place <= number, (number - place) / np.maximum(number - 1, 1), 0)
    first = np.nansum(ranked, axis=0) / np.maximum(number, 1)
    second = np.nansum(ranked * weight, axis=0) / np.maximum(number, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = 2 - first / (first - 2 * second)
    shape = np.where(np.isfinite(shape) & (number > 2), shape, 0.0)  # noqa: PLR2004
    return np.clip(np.clip(shape, -1, 1) * number / (number + _PRIOR), _SHAPE_LOW, _SHAPE_HIGH)


def _scale(total: Floats, number: npt.NDArray[np.int64], shape: Floats) -> Floats:
    mean = total / np.maximum(number, 1)
    return np.maximum(mean * (1 - shape), _NORMAL_EXCESS)


def _surprise(excess: Floats, scale: Floats, shape: Floats) -> Floats:
    flat = np.abs(shape) < 1e-6  # noqa: PLR2004
    bent = np.where(flat, 1.0, shape)
    inside = np.maximum(1 + bent * excess / scale, 1e-300)
    grown = np.where(flat, excess / scale, np.log(inside) / bent)
    return np.asarray(np.minimum(grown - math.log(_TAIL), _LARGEST), dtype=np.float64)


def _surprise_limit(surprises: Floats, false_alarm: float) -> float:
    """The surprise that so small a share of batches passes, by an exponential tail.

    Minus the logarithm of a p-value is exponential, and so is the tail of the largest of many:
    few batches say little more, and are taken together with that.
    """
    point = float(np.quantile(surprises, 1 - _TOP))
    over = surprises[surprises > point] - point
    scale = (float(over.sum()) + _PRIOR) / (over.size + _PRIOR)
    longest = max(scale * float(_longest(np.asarray(over.size))), 1.0)
    return point + longest * max(0.0, math.log(_TOP / false_alarm))


def _longest(number: npt.NDArray[np.int64]) -> Floats:
    """By how much a tail's scale, the mean of so many excesses, may be longer than it seems."""
    return np.asarray(1 + _CONFIDENT / np.sqrt(number + _PRIOR), dtype=np.float64)
