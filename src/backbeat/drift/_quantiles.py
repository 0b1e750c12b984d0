"""Choosing edges: deterministic streaming quantiles, or every distinct value where few."""

from __future__ import annotations

import math

import numpy as np

from backbeat.drift._scan import Floats

__all__ = ["EdgeFinder"]

_BUFFER = 32_768


class EdgeFinder:
    """Finds the edges of a numeric column in one pass, in memory that grows with log(n).

    Quantiles come from sorted buffers that are paired and halved (Munro and Paterson 1980;
    Manku, Rajagopalan and Lindsay 1998), keeping odd and even places in turn. A KLL sketch does
    the same with coin flips that cannot be seeded from Python; without them the same rows always
    give the same edges. A quantile's rank is off by at most log2(n / 32768) / 65536 of n: 0.013%
    at 10 million rows, an eighth of a bin of 0.1%. The counts on the edges are exact all the same.

    Args:
        bins: About how many bins of equal share to cut the values into.
    """

    def __init__(self, bins: int) -> None:
        self._bins = bins
        self._distinct: Floats | None = np.empty(0)
        self._pending: list[Floats] = []
        self._pending_size = 0
        self._levels: list[Floats | None] = []
        self._odd: list[bool] = []
        self._low, self._high = np.inf, -np.inf

    def add(self, values: Floats) -> None:
        """Take values in the order of the rows; NaN and infinities have no place among edges."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = values.sum()
        if not np.isfinite(total):
            values = values[np.isfinite(values)]
        if not values.size:
            return
        self._low = min(self._low, float(values.min()))
        self._high = max(self._high, float(values.max()))
        start = 0
        while start < values.size:
            piece = values[start : start + _BUFFER - self._pending_size]
            start += piece.size
            self._pending_size += piece.size
            # a copy, as the block's memory is given back
            self._pending.append(piece.copy())
            if self._pending_size == _BUFFER:
                full = np.sort(np.concatenate(self._pending))
                self._note(full)
                self._carry(full)
                self._pending, self._pending_size = [], 0

    def edges(self) -> tuple[float, ...]:
        """Ascending finite edges; bin i holds edge[i-1] < value <= edge[i]. Empty without values.

        The first edge lies just under the smallest value, so that the first and the last bin
        count exactly what is outside the range that was seen.
        """
        if not np.isfinite(self._low):
            return ()
        if self._pending:
            self._pending = [np.sort(np.concatenate(self._pending))]
            self._note(self._pending[0])
        inside = self._distinct
        if inside is None:
            shares = np.arange(1, self._bins) / self._bins
            inside = np.unique([self._low, *self._at(shares), self._high])
        # -0.0 and 0.0 are one value, JSON has only one of them
        found: list[float] = (inside + 0.0).tolist()
        below = math.nextafter(found[0], -math.inf)
        return (below, *found) if math.isfinite(below) else tuple(found)

    def _note(self, ascending: Floats) -> None:
        if self._distinct is None:
            return
        fresh = np.append(True, ascending[1:] != ascending[:-1])
        if np.count_nonzero(fresh) <= self._bins:
            seen = np.union1d(self._distinct, ascending[fresh])
            self._distinct = seen if seen.size <= self._bins else None
        else:
            self._distinct = None

    def _carry(self, full: Floats) -> None:
        level = 0
        while True:
            if level == len(self._levels):
                self._levels.append(None)
                self._odd.append(False)
            waiting = self._levels[level]
            if waiting is None:
                self._levels[level] = full
                return
            # a stable sort of two sorted runs is a merge
            both = np.sort(np.concatenate([waiting, full]), kind="stable")
            full = both[int(self._odd[level]) :: 2]
            self._odd[level] = not self._odd[level]
            self._levels[level] = None
            level += 1

    def _at(self, shares: Floats) -> Floats:
        kept = [(np.concatenate(self._pending), 1)] if self._pending else []
        kept += [(held, 2**level) for level, held in enumerate(self._levels) if held is not None]
        values = np.concatenate([held for held, _ in kept])
        weights = np.concatenate([np.full(held.size, weight) for held, weight in kept])
        order = np.argsort(values, kind="stable")
        reached = np.cumsum(weights[order])
        places = np.searchsorted(reached, shares * reached[-1])
        return np.asarray(values[order][places], dtype=np.float64)
