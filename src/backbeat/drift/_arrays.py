"""The counts of columns as arrays, made once a column: a history is read again for every batch."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from backbeat.drift._bins import ordered_counts
from backbeat.drift._columns import NumericColumn

__all__ = [
    "QUANTILES",
    "Counts",
    "Floats",
    "bin_counts",
    "bin_edges",
    "column_quantiles",
    "quantiles",
    "rank",
]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


Value = TypeVar("Value")


class _PerColumn(Generic[Value]):
    """Remembers a value for as long as its column lives; columns themselves cannot be hashed."""

    def __init__(self, make: Callable[[NumericColumn], Value]) -> None:
        self._make = make
        self._known: dict[int, tuple[weakref.ref[Any], Value]] = {}

    def __call__(self, column: NumericColumn) -> Value:
        key = id(column)
        known = self._known.get(key)
        if known is not None and known[0]() is column:
            return known[1]
        value = self._make(column)
        self._known[key] = (weakref.ref(column, lambda _: self._known.pop(key, None)), value)
        return value


def _bin_counts(column: NumericColumn) -> Counts:
    return np.asarray(ordered_counts(column), dtype=np.int64)


bin_counts = _PerColumn(_bin_counts)


def _bin_edges(column: NumericColumn) -> Floats:
    return np.asarray(column.edges, dtype=np.float64)


bin_edges = _PerColumn(_bin_edges)


def quantiles(counts: Counts, edges: Floats, shares: Floats) -> Floats:
    """Quantiles of counted values, interpolated within their bins; the outer bins end at an edge.

    Args:
        counts: Values per bin, one more than edges.
        edges: Ascending.
        shares: Which quantiles, 0 to 1.

    Returns:
        One value a share, NaN without values or edges.
    """
    reached = np.cumsum(counts)
    if not edges.size or not reached[-1]:
        return np.full(len(shares), np.nan)
    wanted = np.asarray(shares) * reached[-1]
    at = np.minimum(np.searchsorted(reached, wanted), counts.size - 1)
    at = np.where(counts[at] > 0, at, int(np.flatnonzero(counts)[0]))
    part = (wanted - (reached[at] - counts[at])) / counts[at]
    low = edges[np.maximum(at - 1, 0)]
    high = edges[np.minimum(at, edges.size - 1)]
    return np.asarray(low + (high - low) * np.clip(part, 0, 1), dtype=np.float64)


def _column_quantiles(column: NumericColumn) -> Floats:
    return quantiles(bin_counts(column), bin_edges(column), np.asarray(QUANTILES))


column_quantiles = _PerColumn(_column_quantiles)


def rank(counts: Counts, edges: Floats, values: Floats) -> Floats:
    """The share of counted values up to each value, interpolated between edges."""
    reached = np.cumsum(counts)[:-1] / max(1, int(counts.sum()))
    return np.asarray(np.interp(values, edges, reached), dtype=np.float64)
