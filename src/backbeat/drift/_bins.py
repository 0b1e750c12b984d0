"""Coarser bins for people: which few moved most, and what to draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from backbeat.drift._columns import CategoricalColumn, NumericColumn

__all__ = [
    "Bin",
    "category_bins",
    "equal_share_bins",
    "equal_width_bins",
    "ordered_counts",
    "shared_counts",
    "written",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS = {
    "date": ("days", "%Y-%m-%d"),
    "time": ("seconds", "%H:%M:%S"),
    "timestamp": ("seconds", "%Y-%m-%d %H:%M"),
}
_WHOLE = frozenset({"integer", "boolean", "date"})
_TAIL = 0.005
_THOUSAND = 1000
_LARGE = 1e15


@dataclass(frozen=True)
class Bin:
    """A range or category, with its share of both sides' values.

    Args:
        label: The range or category as people read it.
        low: Values are greater than this; None where the bin is open or a category.
        high: Values are at most this; None likewise.
        category: The category, None for a range and for the rest of the categories.
        reference: Share of the reference's values, 0 to 1.
        current: Share of the current values, 0 to 1.
    """

    label: str
    low: float | None
    high: float | None
    category: str | None
    reference: float
    current: float

    @property
    def moved(self) -> float:
        """How much share moved."""
        return abs(self.reference - self.current)


def ordered_counts(column: NumericColumn) -> list[int]:
    """Counts per bin with the infinities in the outer bins, where they are in order."""
    counts = list(column.counts)
    counts[0] += column.negative_infinite
    counts[-1] += column.positive_infinite
    return counts


def shared_counts(
    reference: CategoricalColumn, current: CategoricalColumn
) -> tuple[list[str], list[int], list[int]]:
    """Both sides on one list of categories; the last count is the rest, which has no name."""
    if reference.complete and current.complete:
        names = sorted(reference.counts.keys() | current.counts.keys())
    else:
        frozen = frozenset((current if reference.complete else reference).counts)
        reference = reference.folded(frozen) if reference.complete else reference
        current = current.folded(frozen) if current.complete else current
        # two frozen lists that differ share only some names: the others belong to the rest
        names = sorted(reference.counts.keys() & current.counts.keys())
    one = [reference.counts.get(name, 0) for name in names]
    two = [current.counts.get(name, 0) for name in names]
    return names, [*one, reference.present - sum(one)], [*two, current.present - sum(two)]


def category_bins(reference: CategoricalColumn, current: CategoricalColumn) -> list[Bin]:
    """One bin per category and one for the rest, if any is there."""
    names, one, two = shared_counts(reference, current)
    n, m = max(1, sum(one)), max(1, sum(two))
    bins = [Bin(name, None, None, name, one[at] / n, two[at] / m) for at, name in enumerate(names)]
    if one[-1] or two[-1]:
        bins.append(Bin("all others", None, None, None, one[-1] / n, two[-1] / m))
    return bins


def equal_share_bins(
    reference: NumericColumn, current: NumericColumn, groups: int = 20
) -> list[Bin]:
    """About `groups` ranges that hold equal shares of the reference, and what is outside it."""
    counts = np.asarray(ordered_counts(reference))
    before = np.cumsum(counts) - counts
    group = np.floor(before / max(1, int(counts.sum())) * groups + 1e-9)
    starts = 1 + np.flatnonzero(np.diff(group))
    return _grouped(reference, current, {0, 1, len(counts) - 1, *starts.tolist()})


def equal_width_bins(
    reference: NumericColumn, current: NumericColumn, groups: int = 20
) -> list[Bin]:
    """About `groups` ranges of equal width between the 0.5% and 99.5% points of both sides.

    Their limits are edges of the profile, so that the shares are exact.
    """
    edges = np.asarray(reference.edges)
    if edges.size <= groups + 2:
        return _grouped(reference, current, set(range(edges.size + 1)))
    one, two = np.asarray(ordered_counts(reference)), np.asarray(ordered_counts(current))
    share = one / max(1, int(one.sum())) + two / max(1, int(two.sum()))
    reached = np.cumsum(share) / max(float(share.sum()), 1e-300)
    first = min(max(1, int(np.searchsorted(reached, _TAIL))), edges.size - 1)
    last = min(int(np.searchsorted(reached, 1 - _TAIL)), edges.size - 1)
    wanted = np.linspace(edges[first], edges[max(first, last)], groups + 1)[1:-1]
    inner = 1 + np.searchsorted(edges, wanted)
    return _grouped(reference, current, {0, 1, int(edges.size), *inner.tolist()})


def _grouped(reference: NumericColumn, current: NumericColumn, starts: set[int]) -> list[Bin]:
    edges = reference.edges
    cuts = np.asarray(sorted(start for start in starts if 0 <= start <= len(edges)))
    one = _shares(reference, cuts)
    two = _shares(current, cuts)
    ends = [*cuts[1:].tolist(), len(edges) + 1]
    bins = []
    for at, (start, end) in enumerate(zip(cuts.tolist(), ends, strict=True)):
        low = edges[start - 1] if start else None
        high = edges[end - 1] if end <= len(edges) else None
        outer = low is None or high is None
        if outer and not one[at] and not two[at]:
            continue
        bins.append(Bin(_label(reference, low, high), low, high, None, one[at], two[at]))
    return bins


def _shares(column: NumericColumn, cuts: npt.NDArray[np.int64]) -> list[float]:
    counts = np.asarray(ordered_counts(column))
    shares: list[float] = (np.add.reduceat(counts, cuts) / max(1, int(counts.sum()))).tolist()
    return shares


def _label(column: NumericColumn, low: float | None, high: float | None) -> str:
    family = column.family
    if high is None:
        return "every value" if low is None else f"above {written(family, low)}"
    if low is None:
        # the first edge lies just under the smallest value seen
        return f"below {written(family, math.nextafter(high, math.inf))}"
    if family in _WHOLE:
        low, high = float(math.floor(low) + 1), float(math.floor(high))
    elif math.nextafter(low, math.inf) == high:
        low = high
    if low >= high:
        return written(family, high)
    # as few digits as tell the two ends apart: pressures of 1013.2 and 1013.4 are a range
    ends = ("", "")
    for digits in range(3, 17):
        ends = written(family, low, digits), written(family, high, digits)
        if ends[0] != ends[1]:
            break
    return " to ".join(ends)


def written(family: str, value: float, digits: int = 4) -> str:
    """A number, date or time as people write it, a fraction with so many significant digits."""
    if family == "boolean":
        return "true" if value >= 1 else "false"
    if family in _MOMENTS:
        try:
            moment = _EPOCH + timedelta(**{_MOMENTS[family][0]: value})
        except OverflowError:
            return f"{value:.{digits}g}"
        return moment.strftime(_MOMENTS[family][1])
    text = f"{value:.{digits}g}"
    if abs(value) < _LARGE and (value == math.floor(value) or abs(value) >= 10**digits):
        text = f"{value:,.0f}"
    elif abs(value) >= _THOUSAND and "e" not in text:
        text = f"{float(text):,.15g}"
    return f"{text} s" if family == "duration" else text
