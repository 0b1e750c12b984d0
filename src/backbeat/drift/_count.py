"""Counting a stream of blocks exactly, in memory that does not grow with the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from backbeat.drift._columns import CategoricalColumn, NumericColumn
from backbeat.drift._scan import Floats, NumericFamily, category_counts, numbers

__all__ = ["CategoryCounter", "NumericCounter"]

CATEGORIES_BY_NAME = 10_000
CATEGORIES_KEPT = 1_000


class NumericCounter:
    """Counts a numeric column on frozen edges: each block is a column, the sum is their merge.

    Args:
        family: What the numbers are.
        edges: Ascending finite edges.
    """

    def __init__(self, family: NumericFamily, edges: tuple[float, ...]) -> None:
        self._edges = np.asarray(edges, dtype=np.float64)
        self._column = NumericColumn(family=family, edges=edges, counts=(0,) * (len(edges) + 1))

    def add(self, column: pa.ChunkedArray) -> None:
        """Count one block of rows."""
        values = numbers(column)
        finite = np.sort(values[np.isfinite(values)])
        # sorting, then finding the edges in the values, is faster than finding each value's bin
        reached = np.searchsorted(finite, self._edges, side="right")
        mean, m2 = _moments(finite)
        block = NumericColumn(
            family=self._column.family,
            edges=self._column.edges,
            counts=tuple(np.diff(reached, prepend=0, append=finite.size).tolist()),
            nulls=column.null_count,
            nans=int(np.isnan(values).sum()),
            negative_infinite=int(np.isneginf(values).sum()),
            positive_infinite=int(np.isposinf(values).sum()),
            minimum=float(finite[0]) if finite.size else None,
            maximum=float(finite[-1]) if finite.size else None,
            mean=mean,
            m2=m2,
        )
        self._column = self._column.merge(block, name="")

    def column(self) -> NumericColumn:
        """What was counted so far."""
        return self._column


def _moments(values: Floats) -> tuple[float | None, float | None]:
    if not values.size:
        return None, None
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(values.mean())
        m2 = float(np.square(values - mean).sum())
    return (mean, m2) if np.isfinite(mean) and np.isfinite(m2) else (None, None)


class CategoryCounter:
    """Counts categories by name up to 10,000 of them; beyond, only those on a frozen list.

    Args:
        names: The frozen list to count from the start; None to count by name.
        fold_onto: The list to fall back on beyond 10,000 names; None to gather the frequent ones
            (`frequent`), for a second pass.
    """

    def __init__(
        self, names: Iterable[str] | None = None, fold_onto: Iterable[str] | None = None
    ) -> None:
        self._column = CategoricalColumn(counts={})
        if names is not None:
            self._column = self._column.folded(frozenset(names))
        self._fold_onto = None if fold_onto is None else frozenset(fold_onto)
        self._candidates: Counter[str] | None = None

    def add(self, column: pa.ChunkedArray) -> None:
        """Count one block of rows."""
        counts = category_counts(column)
        if self._candidates is not None:
            self._candidates.update(counts)
            self._prune(self._candidates)
            return
        block = CategoricalColumn(counts=counts, nulls=column.null_count)
        self._column = self._column.merge(block, name="")
        if self._column.complete and len(self._column.counts) > CATEGORIES_BY_NAME:
            if self._fold_onto is None:
                self._candidates = Counter(self._column.counts)
            else:
                self._column = self._column.folded(self._fold_onto)

    @property
    def overflowed(self) -> bool:
        """Whether the names were too many, so that a second pass over `frequent()` is needed."""
        return self._candidates is not None

    def frequent(self) -> list[str]:
        """The names that a second pass should count, most frequent first."""
        return [] if self._candidates is None else _top(self._candidates, CATEGORIES_KEPT)

    def column(self) -> CategoricalColumn:
        """What was counted so far; not to be asked once it overflowed."""
        return self._column

    @staticmethod
    def _prune(candidates: Counter[str]) -> None:
        # Misra and Gries 1982, in batches: what is frequent survives the subtraction
        if len(candidates) <= 2 * CATEGORIES_BY_NAME:
            return
        ranked = _top(candidates, CATEGORIES_BY_NAME + 1)
        bar = candidates[ranked[-1]]
        for name in list(candidates):
            candidates[name] -= bar
            if candidates[name] <= 0:
                del candidates[name]


def _top(counts: Counter[str], size: int) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))[:size]
