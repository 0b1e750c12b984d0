"""Checks that need no history: units, range, freshness, a column without values, strange names.

They ask whether the values can be what the column is meant to hold at all, so that no daily swing
hides the answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeGuard

import numpy as np

from backbeat.drift._arrays import Floats, bin_counts, bin_edges
from backbeat.drift._bins import ordered_counts, written
from backbeat.drift._columns import CategoricalColumn, Column, NumericColumn
from backbeat.drift.distance import Distance
from backbeat.drift.profile import Profile
from backbeat.drift.rules import Rules
from backbeat.drift.verdict import Finding
from backbeat.errors import InvalidStep

__all__ = ["Rescaling", "emptied", "freshness", "half_outside", "half_unknown", "rescaled"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = frozenset({"integer", "number"})
_CLEAR = 0.1  # an effect from which on another unit is looked for
_VANISHES = 5.0  # how many times smaller the distance must be after rescaling
_NEAR = 0.1  # of the reference's deviation: how near the rescaled mean must be
_ALIKE = 1.25  # how many times the reference's deviation the rescaled one may be, or it that
_RIVAL = 2.0  # how many times nearer a factor without a name must come to be the better explanation
_KS_CHANCE = 0.87
# a name, then the factor and the offset by which the reference's values become the batch's
_UNITS: tuple[tuple[str, float, float], ...] = (
    ("km instead of miles", 1.609344, 0.0),
    ("miles instead of km", 1 / 1.609344, 0.0),
    ("metres instead of miles", 1609.344, 0.0),
    ("Fahrenheit instead of Celsius", 1.8, 32.0),
    ("Celsius instead of Fahrenheit", 1 / 1.8, -32 / 1.8),
    ("kelvin instead of Celsius", 1.0, 273.15),
    ("Celsius instead of kelvin", 1.0, -273.15),
    ("centimetres instead of inches", 2.54, 0.0),
    ("inches instead of centimetres", 1 / 2.54, 0.0),
    ("feet instead of metres", 1 / 0.3048, 0.0),
    ("metres instead of feet", 0.3048, 0.0),
    ("pounds instead of kilograms", 1 / 0.45359237, 0.0),
    ("kilograms instead of pounds", 0.45359237, 0.0),
    ("a thousandth of the unit, such as metres instead of km", 1e3, 0.0),
    ("a thousand times the unit, such as km instead of metres", 1e-3, 0.0),
    ("a hundredth of the unit, such as cents instead of euros", 1e2, 0.0),
    ("a hundred times the unit, such as euros instead of cents", 1e-2, 0.0),
    ("a millionth of the unit", 1e6, 0.0),
    ("a million times the unit", 1e-6, 0.0),
    ("seconds instead of minutes, or minutes instead of hours", 60.0, 0.0),
    ("minutes instead of seconds, or hours instead of minutes", 1 / 60, 0.0),
    ("seconds instead of hours", 3600.0, 0.0),
    ("hours instead of seconds", 1 / 3600, 0.0),
    ("hours instead of days", 24.0, 0.0),
    ("days instead of hours", 1 / 24, 0.0),
)


@dataclass(frozen=True, kw_only=True)
class Rescaling:
    """A change of unit that would explain a batch.

    Args:
        name: Such as `km instead of miles`.
        before: Kolmogorov-Smirnov's D as the batch is.
        after: D after taking the change back.
    """

    name: str
    before: float
    after: float

    def finding(self) -> Finding:
        """What fired."""
        return Finding(
            check="units",
            statistic="ks after rescaling",
            value=self.after,
            threshold=self.before / _VANISHES,
            source="rule",
            sentence=f"it looks like {self.name}: rescaled, its distance to the reference "
            f"falls from {self.before:.2f} to {self.after:.2f}",
        )


def rescaled(old: NumericColumn, new: NumericColumn, distance: Distance) -> Rescaling | None:
    """The change of unit by which nearly all of the distance vanishes, None where there is none.

    Only units with a name count: any other constant multiple is a shift like any other. Values
    inside the reference's range are compared by their counts, those beyond it only by mean
    and deviation, which a profile holds exactly.

    Args:
        old: The reference's column.
        new: The batch's, on the same edges.
        distance: What their comparison found.
    """
    if old.family not in _NUMBERS or distance.effect < _CLEAR or not distance.size:
        return None
    if old.mean is None or new.mean is None or not old.deviation or not new.deviation:
        return None
    chance = _KS_CHANCE / math.sqrt(distance.size)
    found = []
    for name, factor, offset in _UNITS:
        mean, deviation = (new.mean - offset) / factor, new.deviation / factor
        near = abs(mean - old.mean) <= _NEAR * old.deviation
        alike = 1 / _ALIKE <= deviation / old.deviation <= _ALIKE
        if not near or not alike:
            continue
        after = max(chance, _distance_after(old, new, factor, offset))
        if after * _VANISHES <= distance.effect:
            found.append(Rescaling(name=name, before=distance.effect, after=after))
    nearest = min(found, key=lambda each: each.after, default=None)
    if nearest is None or not old.mean or new.mean / old.mean <= 0:
        return nearest
    # prices that doubled also look like degrees Fahrenheit, but more like prices that doubled
    rival = max(chance, _distance_after(old, new, new.mean / old.mean, 0.0))
    return nearest if nearest.after <= _RIVAL * rival else None


def _distance_after(old: NumericColumn, new: NumericColumn, factor: float, offset: float) -> float:
    """The least D that the counts admit: a value's place within its bin is not known."""
    edges = bin_edges(old)
    one = np.cumsum(bin_counts(old))[:-1] / max(1, old.present)
    two = np.cumsum(bin_counts(new)) / max(1, new.present)
    at = np.searchsorted(edges, edges * factor + offset, side="right")
    low: Floats = np.concatenate([[0.0], two])[at]
    high: Floats = two[at]
    gaps = np.maximum(low - one, one - high)
    return float(max(0.0, gaps.max(initial=0.0)))


def half_outside(old: NumericColumn, new: NumericColumn) -> Finding | None:
    """Half of the values or more lie beyond every value of the reference."""
    if old.family not in _NUMBERS or not old.present or not new.present:
        return None
    counts, reached = np.cumsum(ordered_counts(old)), np.cumsum(ordered_counts(new))
    median = int(np.searchsorted(reached * 2, new.present))
    before = int(counts[median - 1]) if median else 0
    if int(np.asarray(ordered_counts(old))[median]) or not (not before or before >= old.present):
        return None
    side, bound = ("below", old.minimum) if not before else ("above", old.maximum)
    limit = "every value" if bound is None else written(old.family, bound)
    extreme = "smallest" if side == "below" else "largest"
    beyond = int(reached[median]) if not before else new.present - int(reached[median - 1])
    return Finding(
        check="range",
        statistic=f"share of values {side} the reference",
        value=beyond / new.present,
        threshold=0.5,
        source="rule",
        sentence=f"half of the values or more lie {side} {limit}, the reference's {extreme} value",
    )


def half_unknown(old: CategoricalColumn, new: CategoricalColumn) -> Finding | None:
    """Half of the rows or more have a category that the reference has not.

    Not for columns whose reference is itself of ever new names: the share of its rows whose name
    came once is what to expect of new ones (Good 1953).
    """
    if not old.present or not new.present or not old.complete:
        return None
    fresh = sum(1 for count in old.counts.values() if count == 1) / old.present
    unknown = new.other + sum(n for name, n in new.counts.items() if name not in old.counts)
    share = unknown / new.present
    if share < 0.5 or fresh > 0.1:  # noqa: PLR2004
        return None
    return Finding(
        check="cardinality",
        statistic="share of categories not in the reference",
        value=share,
        threshold=0.5,
        source="rule",
        sentence=f"{share:.0%} of its rows have a category that the reference does not have",
    )


def emptied(old: Column, new: Column, *, old_rows: int, new_rows: int, q: float) -> Finding | None:
    """No row has a value, where by the reference's share of missing rows that is no chance."""
    if not new_rows or new.present or not old.present:
        return None
    if new_rows * math.log(max(old.missing, 1) / max(old_rows, 2)) > math.log(q):
        return None
    return Finding(
        check="missing",
        statistic="share of missing rows",
        value=1.0,
        threshold=1.0,
        source="rule",
        sentence=f"its share of missing rows went from {old.missing / old_rows:.1%} to 100.0%",
    )


def freshness(reference: Profile, current: Profile, rules: Rules, now: datetime) -> Finding | None:
    """The newest value of the rules' time column is too old, or no row has one.

    A date counts until its day's end; a timestamp without a zone counts as UTC.

    Raises:
        InvalidStep: Neither the reference nor the batch has such a column of moments.
    """
    if rules.max_age_hours is None:
        return None
    name = rules.time_column or ""
    column = current.columns.get(name)
    if not _of_moments(column):
        if _of_moments(reference.columns.get(name)):
            return None  # gone, or of another type: the schema check says so
        raise InvalidStep(
            f"Freshness needs a column of dates or timestamps, which {rules.time_column!r} is not.",
            hint="name it in `time_column`, and profile it",
        )
    newest = column.maximum
    if newest is None:
        return _stale(0.0, 1.0, "rows with a time", "no row says when it came to be")
    day = column.family == "date"
    try:
        moment = _EPOCH + (timedelta(days=newest + 1) if day else timedelta(seconds=newest))
    except OverflowError:
        return None  # far in the future, if anything
    hours = (now - moment) / timedelta(hours=1)
    if hours <= rules.max_age_hours:
        return None
    return _stale(
        hours,
        rules.max_age_hours,
        "hours since the newest row",
        f"its newest value, {written(column.family, newest)}, is {hours:,.0f} hours old, more than "
        f"{rules.max_age_hours:g}",
    )


def _of_moments(column: Column | None) -> TypeGuard[NumericColumn]:
    return isinstance(column, NumericColumn) and column.family.endswith(("date", "timestamp"))


def _stale(value: float, threshold: float, statistic: str, sentence: str) -> Finding:
    return Finding(
        check="freshness",
        statistic=statistic,
        value=value,
        threshold=threshold,
        source="rule",
        sentence=sentence,
    )
