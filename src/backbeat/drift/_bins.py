"""Coarser bins for people: which few moved most, and what to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from backbeat.drift._columns import CategoricalColumn, Column, NumericColumn
from backbeat.drift._units import spanned, written

__all__ = [
    "Bin",
    "category_bins",
    "drawn_bins",
    "equal_share_bins",
    "equal_width_bins",
    "ordered_counts",
    "shared_counts",
    "tick_labels",
    "written",
]

_TAIL = 0.005
_CATEGORIES_SHOWN = 10
_FEW = 4
_TICKS = 6
_MOSTLY = 0.9


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


def drawn_bins(
    reference: Column, current: Column
) -> tuple[Literal["bars", "steps", "none"], list[Bin]]:
    """What to draw of a column: bars of few values, steps of a histogram, or nothing.

    Nothing where one side has no values or the two cannot be drawn together.
    """
    if not reference.present or not current.present:
        return "none", []
    if isinstance(reference, NumericColumn) and isinstance(current, NumericColumn):
        if reference.edges != current.edges:
            return "none", []
        bins = equal_width_bins(reference, current)
        return ("bars" if len(bins) <= _FEW else "steps"), bins
    if isinstance(reference, CategoricalColumn) and isinstance(current, CategoricalColumn):
        bins = _largest(category_bins(reference, current))
        # ten of a thousand names that differ on every row say nothing
        rare = min(bins[-1].reference, bins[-1].current) > _MOSTLY
        return ("none", []) if rare and len(bins) > _CATEGORIES_SHOWN else ("bars", bins)
    return "none", []


def tick_labels(family: str, bins: list[Bin]) -> list[tuple[float, str]]:
    """What to write under a histogram: (place, value), the place from 0 at the left to 1.

    Each value where the bins are single ones, at most six; else where the ranges begin, their
    middle and where they end.

    Args:
        family: What the values are.
        bins: The bins as drawn, all of one width.
    """
    size = len(bins)
    inner = [
        (at, piece.low, piece.high)
        for at, piece in enumerate(bins)
        if piece.low is not None and piece.high is not None
    ]
    if not inner or all(" to " not in piece.label for piece in bins):
        every = -(-size // _TICKS)
        return [((at + 0.5) / size, bins[at].label) for at in range(0, size, every)]
    begins = {
        at: bins[at].label.split(" to ")[0] for at in (inner[0][0], inner[len(inner) // 2][0])
    }
    end, _, high = inner[-1]
    marks = [(at / size, label) for at, label in begins.items()]
    return [*marks, ((end + 1) / size, written(family, high))]


def _largest(bins: list[Bin]) -> list[Bin]:
    ranked = sorted(bins, key=lambda piece: -max(piece.reference, piece.current))
    if len(ranked) <= _CATEGORIES_SHOWN:
        return ranked
    # what moved is why the column is shown: it is kept even where it is small
    moved = sorted(ranked, key=lambda piece: -piece.moved)[: _CATEGORIES_SHOWN // 2]
    shown = (moved + [piece for piece in ranked if piece not in moved])[:_CATEGORIES_SHOWN]
    rest = [piece for piece in ranked if piece not in shown]
    reference = sum(piece.reference for piece in rest)
    current = sum(piece.current for piece in rest)
    shown.sort(key=lambda piece: -max(piece.reference, piece.current))
    return [*shown, Bin(f"{len(rest):,} more", None, None, None, reference, current)]


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
        bins.append(Bin(spanned(reference.family, low, high), low, high, None, one[at], two[at]))
    return bins


def _shares(column: NumericColumn, cuts: npt.NDArray[np.int64]) -> list[float]:
    counts = np.asarray(ordered_counts(column))
    shares: list[float] = (np.add.reduceat(counts, cuts) / max(1, int(counts.sum()))).tolist()
    return shares
