"""Counting a stream of blocks exactly, in memory that does not grow with the rows.

Everything is held per slot: slot 0 is all the rows, the others are segments of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backbeat.drift._columns import CategoricalColumn, NumericColumn
from backbeat.drift._distinct import Hashes, hashes_of, packed, smallest
from backbeat.drift._engine_grid import BinFinder
from backbeat.drift._scan import Categories, Floats, Numbers, NumericFamily

__all__ = ["CategoryCounter", "NumericCounter", "Slots"]

CATEGORIES_BY_NAME = 10_000
CATEGORIES_KEPT = 1_000
_FEW_NAMES = 2_000

Slots = Sequence[npt.NDArray[np.int64]]
Integers = npt.NDArray[np.int64]


class NumericCounter:
    """Counts a numeric column on frozen edges.

    Args:
        family: What the numbers are.
        edges: Ascending finite edges.
        slots: How many slots are counted.
        zoned: Whether timestamps have a time zone.
        widen: Whether the outer edges are moved to the smallest and largest value in the end, as
            they were chosen from a sample.
    """

    def __init__(
        self,
        family: NumericFamily,
        edges: tuple[float, ...],
        *,
        slots: int = 1,
        zoned: bool | None = None,
        widen: bool = False,
    ) -> None:
        self._family: NumericFamily = family
        self._zoned = zoned
        self._widen = widen
        self._edges = np.asarray(edges, dtype=np.float64) + 0.0
        self._finder = BinFinder(self._edges)
        self._slots = slots
        self._bins = np.zeros((slots, self._edges.size + 1), dtype=np.int64)
        # nulls, NaN, minus and plus infinity
        self._apart = np.zeros((4, slots), dtype=np.int64)
        self._low = np.full(slots, np.inf)
        self._high = np.full(slots, -np.inf)
        self._n = np.zeros(slots, dtype=np.int64)
        self._mean = np.zeros(slots)
        self._m2 = np.zeros(slots)

    def add(self, block: Numbers, cuts: Slots = ()) -> None:
        """Count one block.

        Args:
            block: Its values.
            cuts: Per way of cutting the rows, every row's slot.
        """
        values = block.values
        if block.valid is not None:
            for cut in cuts:
                self._apart[0] += np.bincount(cut[~block.valid], minlength=self._slots)
            cuts = [cut[block.valid] for cut in cuts]
        self._apart[0, 0] += block.nulls
        with np.errstate(over="ignore", invalid="ignore"):
            total = values.sum()
        if not np.isfinite(total):
            values, cuts = self._finite(values, cuts)
            with np.errstate(over="ignore", invalid="ignore"):
                total = values.sum()
        if not values.size:
            return
        bins = self._finder.bins(values)
        self._bins[0] += np.bincount(bins, minlength=self._bins.shape[1])
        self._low[0] = min(self._low[0], values.min())
        self._high[0] = max(self._high[0], values.max())
        with np.errstate(over="ignore", invalid="ignore"):
            mean = total / values.size
            m2 = np.square(values - mean).sum()
        one = slice(0, 1)
        self._combine(one, np.array([values.size]), np.array([mean]), np.array([m2]))
        for cut in cuts:
            self._add_cut(values, bins, cut)

    def _finite(self, values: Floats, cuts: Slots) -> tuple[Floats, Slots]:
        finite = np.isfinite(values)
        apart = (np.isnan(values), np.isneginf(values), np.isposinf(values))
        for place, flags in enumerate(apart, start=1):
            self._apart[place, 0] += np.count_nonzero(flags)
            for cut in cuts:
                self._apart[place] += np.bincount(cut[flags], minlength=self._slots)
        return values[finite], [cut[finite] for cut in cuts]

    def _add_cut(self, values: Floats, bins: Integers, cut: Integers) -> None:
        width = self._bins.shape[1]
        joint = np.bincount(cut * width + bins, minlength=self._bins.size)
        self._bins += joint.reshape(self._bins.shape)
        np.minimum.at(self._low, cut, values)
        np.maximum.at(self._high, cut, values)
        n = np.bincount(cut, minlength=self._slots)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.bincount(cut, weights=values, minlength=self._slots) / np.maximum(n, 1)
            squares = np.square(values - mean[cut])
            m2 = np.bincount(cut, weights=squares, minlength=self._slots)
        self._combine(slice(1, None), n[1:], mean[1:], m2[1:])

    def _combine(self, slots: slice, n: Any, mean: Any, m2: Any) -> None:
        # Chan, Golub and LeVeque 1983, in the order of the blocks
        before, was = self._n[slots], self._mean[slots]
        after = before + n
        size = np.maximum(after, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            apart = np.where((before > 0) & (n > 0), was - mean, 0.0)
            self._m2[slots] += m2 + np.square(apart) * (before * (n / size))
            mixed = was * (before / size) + mean * (n / size)
            # a slot with rows on one side only keeps that side's mean to the last bit
            self._mean[slots] = np.where(n == 0, was, np.where(before == 0, mean, mixed))
        self._n[slots] = after

    @property
    def outside(self) -> bool:
        """Whether a value is below the first edge or above the last one."""
        if not self._edges.size:
            return bool(self._n[0])
        return bool(self._low[0] < self._edges[0] or self._high[0] > self._edges[-1])

    def columns(self) -> list[NumericColumn]:
        """What was counted, per slot."""
        if self._widen and self._edges.size > 1 and self._n[0]:
            self._stretch()
        edges = tuple(self._edges.tolist())
        return [self._column(slot, edges) for slot in range(self._slots)]

    def _stretch(self) -> None:
        self._edges[0] = min(self._edges[0], np.nextafter(self._low[0], -np.inf))
        self._edges[-1] = max(self._edges[-1], self._high[0])
        self._bins[:, 1] += self._bins[:, 0]
        self._bins[:, -2] += self._bins[:, -1]
        self._bins[:, [0, -1]] = 0

    def _column(self, slot: int, edges: tuple[float, ...]) -> NumericColumn:
        nulls, nans, lowest, highest = self._apart[:, slot].tolist()
        mean, m2 = float(self._mean[slot]), float(self._m2[slot])
        known = bool(self._n[slot]) and bool(np.isfinite(mean) and np.isfinite(m2))
        # not validated: that would copy the edges, which all slots share
        return NumericColumn.model_construct(
            kind="numeric",
            family=self._family,
            edges=edges,
            counts=tuple(self._bins[slot].tolist()),
            nulls=nulls,
            nans=nans,
            negative_infinite=lowest,
            positive_infinite=highest,
            # -0.0 and 0.0 are one value, JSON has only one of them
            minimum=float(self._low[slot]) + 0.0 if self._n[slot] else None,
            maximum=float(self._high[slot]) + 0.0 if self._n[slot] else None,
            mean=mean + 0.0 if known else None,
            m2=m2 if known else None,
            zoned=self._zoned,
        )


class CategoryCounter:
    """Counts categories by name up to 10,000 of them; beyond, only those on a frozen list.

    Args:
        names: The frozen list to count from the start; None to count by name.
        fold_onto: The list to fall back on beyond 10,000 names; None to gather the frequent ones
            (`frequent`), for a second pass.
        slots: How many slots are counted.
    """

    def __init__(
        self,
        names: Iterable[str] | None = None,
        fold_onto: Iterable[str] | None = None,
        *,
        slots: int = 1,
    ) -> None:
        self._slots = slots
        self._places: dict[str, int] = {}
        self._counts = np.zeros((16, slots), dtype=np.int64)
        self._other = np.zeros(slots, dtype=np.int64)
        self._nulls = np.zeros(slots, dtype=np.int64)
        self._complete = True
        self._sketches: list[Hashes] = []
        self._fold_onto = None if fold_onto is None else list(fold_onto)
        self._candidates: Counter[str] | None = None
        self._held: pa.Array | None = None
        self._waiting = np.zeros((0, slots), dtype=np.int64)
        if names is not None:
            self._freeze(list(names))

    def add(self, block: Categories, cuts: Slots = ()) -> None:
        """Count one block.

        Args:
            block: Its categories.
            cuts: Per way of cutting the rows, every row's slot.
        """
        codes, names = block.codes, block.names
        self._nulls[0] += block.nulls
        if block.valid is not None:
            for cut in cuts:
                self._nulls += np.bincount(cut[~block.valid], minlength=self._slots)
            cuts = [cut[block.valid] for cut in cuts]
        if len(names) > max(_FEW_NAMES, codes.size):
            used, codes = np.unique(codes, return_inverse=True)
            names = names.take(pa.array(used))
        counts = np.zeros((len(names), self._slots), dtype=np.int64)
        counts[:, 0] = np.bincount(codes, minlength=len(names))
        for cut in cuts:
            joint = np.bincount(codes.astype(np.int64) * self._slots + cut, minlength=counts.size)
            counts += joint.reshape(counts.shape)
        if self._held is not None and self._held.equals(names):
            self._waiting += counts
        else:
            self._settle()
            self._held, self._waiting = names, counts
        # where names could become too many, what is kept must not depend on how long they waited
        if len(self._places) + len(names) > CATEGORIES_BY_NAME or self._candidates is not None:
            self._settle()

    def _settle(self) -> None:
        if self._held is None:
            return
        spelled = Categories(np.empty(0), self._held).spelled()
        seen = np.flatnonzero(self._waiting[:, 0])
        names, counts = [spelled[at] for at in seen.tolist()], self._waiting[seen]
        self._held = None
        if self._candidates is not None:
            for name, count in zip(names, counts[:, 0].tolist(), strict=True):
                self._candidates[name] += count
            self._prune(self._candidates)
        elif self._complete:
            self._count_by_name(names, counts)
        else:
            self._count_frozen(names, counts)

    def _count_by_name(self, names: list[str], counts: Integers) -> None:
        places = self._places
        at = np.fromiter(
            (places.setdefault(name, len(places)) for name in names), np.int64, len(names)
        )
        self._make_room(len(places))
        np.add.at(self._counts, at, counts)
        if len(places) <= CATEGORIES_BY_NAME:
            return
        if self._fold_onto is None:
            totals = self._counts[: len(places), 0].tolist()
            self._candidates = Counter(dict(zip(places, totals, strict=True)))
        else:
            self._freeze(self._fold_onto)

    def _count_frozen(self, names: list[str], counts: Integers) -> None:
        at = np.fromiter((self._places.get(name, -1) for name in names), np.int64, len(names))
        known = at >= 0
        np.add.at(self._counts, at[known], counts[known])
        self._other += counts[~known].sum(axis=0)
        self._note_distinct(names, counts)

    def _freeze(self, frozen: list[str]) -> None:
        names, counts = list(self._places), self._counts[: len(self._places)]
        self._complete = False
        self._sketches = [np.empty(0, dtype=np.uint64)] * self._slots
        self._places = {name: place for place, name in enumerate(frozen)}
        self._counts = np.zeros((max(16, len(frozen)), self._slots), dtype=np.int64)
        self._count_frozen(names, counts)

    def _note_distinct(self, names: list[str], counts: Integers) -> None:
        hashes = hashes_of(names)
        for slot in range(self._slots):
            present = counts[:, slot] > 0
            if present.any():
                self._sketches[slot] = smallest(self._sketches[slot], hashes[present])

    def _make_room(self, size: int) -> None:
        if size > self._counts.shape[0]:
            roomier = np.zeros((2 * size, self._slots), dtype=np.int64)
            roomier[: self._counts.shape[0]] = self._counts
            self._counts = roomier

    @property
    def overflowed(self) -> bool:
        """Whether the names were too many, so that a second pass over `frequent()` is needed."""
        self._settle()
        return self._candidates is not None

    def frequent(self) -> list[str]:
        """The names that a second pass should count, most frequent first."""
        self._settle()
        return [] if self._candidates is None else _top(self._candidates, CATEGORIES_KEPT)

    def totals(self) -> dict[str, int]:
        """How many rows each name has; not to be asked once it overflowed."""
        self._settle()
        return dict(zip(self._places, self._counts[: len(self._places), 0].tolist(), strict=True))

    def columns(self) -> list[CategoricalColumn]:
        """What was counted, per slot; not to be asked once it overflowed."""
        self._settle()
        return [self._column(slot) for slot in range(self._slots)]

    def _column(self, slot: int) -> CategoricalColumn:
        counts = self._counts[: len(self._places), slot].tolist()
        named = dict(zip(self._places, counts, strict=True))
        return CategoricalColumn(
            counts={k: v for k, v in named.items() if v} if self._complete else named,
            other=int(self._other[slot]),
            nulls=int(self._nulls[slot]),
            complete=self._complete,
            distinct="" if self._complete else packed(self._sketches[slot]),
        )

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
