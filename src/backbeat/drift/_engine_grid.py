"""Which bin a value falls into, exactly, by a table instead of a search."""

from __future__ import annotations

import threading
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from backbeat.drift._scan import Floats

__all__ = ["BinFinder", "Bins"]

Bins = npt.NDArray[np.int64]

_CELLS_PER_EDGE = 16
_FEWEST, _MOST = 256, 262_144
_TRIM = 100
_CROWDED = 0.25
_SIGN = np.int64(63)
_MAGNITUDE = np.int64(2**63 - 1)
_scratch = threading.local()


class BinFinder:
    """Finds the bins of values on frozen edges: the number of edges below each value.

    A rising function puts values and edges into many small cells. All edges of lower cells lie
    below a value and all of higher cells do not, so that only the edges of its own cell need a
    comparison; where a cell holds more than one, its values are searched among all edges. So the
    answer is exact whatever the cells are, and they only have to be good enough to be fast: equal
    steps between the first and last hundredth of the edges, or equal steps of the number's bits,
    which are steps of its logarithm. Where neither separates the edges all values are searched.

    Args:
        edges: Ascending finite edges.
    """

    def __init__(self, edges: Floats) -> None:
        self._edges = edges
        self._table: _Linear | _Bitwise | None = None
        self._chosen = False

    def bins(self, values: Floats) -> Bins:
        """The bin of every finite value; overwritten by the next call in the same thread."""
        if not self._edges.size:
            return np.zeros(values.size, dtype=np.int64)
        if not self._chosen:
            self._choose(values)
        if self._table is None:
            found: Bins = np.searchsorted(self._edges, values, side="left")
            return found
        return self._table.bins(values)

    def _choose(self, values: Floats) -> None:
        if not values.size:
            return
        self._chosen = True
        cells = _FEWEST
        while cells < min(_MOST, _CELLS_PER_EDGE * self._edges.size):
            cells *= 2
        best = _CROWDED
        for kind in (_Linear, _Bitwise):
            table = kind.over(self._edges, cells)
            share = 1.0 if table is None else table.crowded(values)
            if share < best:
                self._table, best = table, share
            if best < _CROWDED / 10:
                return


class _Table:
    """Per cell: how many edges lie in lower cells, and the one edge that lies in it."""

    def __init__(self, edges: Floats, cells: int) -> None:
        self._edges = edges
        self._last = cells - 1
        held = np.bincount(self._cells(edges), minlength=cells)
        below = np.cumsum(held) - held
        self._cut = np.full(cells, np.inf)
        single = held == 1
        self._cut[single] = edges[below[single]]
        self._below = below
        self._crowd = held > 1
        # a mark above every bin, so that one comparison finds the values to search
        self._mark = edges.size + 2
        self._below[self._crowd] = self._mark
        self._any_crowd = bool(self._crowd.any())

    def crowded(self, values: Floats) -> float:
        return float(self._crowd[self._cells(values)].mean())

    def bins(self, values: Floats) -> Bins:
        cells = self._cells(values)
        cut = _buffer("cut", values.size, np.float64)
        found = _buffer("found", values.size, np.int64)
        over = _buffer("over", values.size, np.bool_)
        # "clip" spares a check of every index
        np.take(self._cut, cells, out=cut, mode="clip")
        np.take(self._below, cells, out=found, mode="clip")
        np.greater(values, cut, out=over)
        np.add(found, over, out=found)
        if self._any_crowd:
            crowd = np.flatnonzero(found >= self._mark)
            found[crowd] = np.searchsorted(self._edges, values[crowd], side="left")
        return cast("Bins", found)

    def _cells(self, values: Floats) -> Bins:
        raise NotImplementedError


class _Linear(_Table):
    def __init__(self, edges: Floats, cells: int, low: float, scale: float) -> None:
        self._low, self._scale = low, scale
        super().__init__(edges, cells)

    @classmethod
    def over(cls, edges: Floats, cells: int) -> _Linear | None:
        low, high = _trimmed(edges)
        with np.errstate(over="ignore", divide="ignore"):
            scale = float(np.float64(cells - 1) / (np.float64(high) - np.float64(low)))
        if not 0 < scale < np.inf:
            return None
        return cls(edges, cells, low, scale)

    def _cells(self, values: Floats) -> Bins:
        place = _buffer("place", values.size, np.float64)
        cells = _buffer("cells", values.size, np.int64)
        with np.errstate(over="ignore"):
            np.subtract(values, self._low, out=place)
            np.multiply(place, self._scale, out=place)
        np.clip(place, 0, self._last, out=place)
        np.copyto(cells, place, casting="unsafe")
        return cast("Bins", cells)


class _Bitwise(_Table):
    def __init__(self, edges: Floats, cells: int, low: int, high: int, shift: int) -> None:
        self._low, self._high, self._shift = np.int64(low), np.int64(high), np.int64(shift)
        super().__init__(edges, cells)

    @classmethod
    def over(cls, edges: Floats, cells: int) -> _Bitwise | None:
        low, high = (int(each) for each in _ordered_bits(np.asarray(_trimmed(edges)) + 0.0))
        if not 0 < high - low < 2**62:
            return None
        shift = max(0, (high - low).bit_length() - (cells.bit_length() - 1))
        return cls(edges, cells, low, high, shift)

    def _cells(self, values: Floats) -> Bins:
        cells = _ordered_bits(values, out=_buffer("cells", values.size, np.int64))
        np.clip(cells, self._low, self._high, out=cells)
        np.subtract(cells, self._low, out=cells)
        return np.right_shift(cells, self._shift, out=cells)


def _trimmed(edges: Floats) -> tuple[float, float]:
    trim = edges.size // _TRIM
    return float(edges[trim]), float(edges[edges.size - 1 - trim])


def _ordered_bits(values: Floats, out: Bins | None = None) -> Bins:
    """Integers in the order of the numbers; -0.0 is one below 0.0."""
    bits = np.ascontiguousarray(values).view(np.int64)
    out = np.right_shift(bits, _SIGN, out=out)
    np.bitwise_and(out, _MAGNITUDE, out=out)
    return np.bitwise_xor(out, bits, out=out)


def _buffer(name: str, size: int, dtype: Any) -> Any:
    """An array of this thread that is used again: fresh memory costs more than the arithmetic."""
    kept = getattr(_scratch, name, None)
    if kept is None or kept.size < size:
        kept = np.empty(size, dtype=dtype)
        setattr(_scratch, name, kept)
    return kept[:size]
