"""The passes over a dataset: blocks in order, columns on all cores, always the same counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from queue import SimpleQueue
from threading import Event
from typing import Protocol, cast

import pyarrow as pa
import pyarrow.dataset as ds

from backbeat.drift._columns import CategoricalColumn, NumericColumn
from backbeat.drift._count import CategoryCounter, NumericCounter, Slots
from backbeat.drift._derive import EmbeddingFeatures, Residual, TextFeatures
from backbeat.drift._derive_given import Sample, fit, residuals
from backbeat.drift._derive_plan import Plan
from backbeat.drift._derive_source import Explained, Feature, Source
from backbeat.drift._engine_segments import SegmentIndex, ValueCounter, chosen_segments
from backbeat.drift._quantiles import EdgeFinder
from backbeat.drift._scan import (
    BLOCK_ROWS,
    Numbers,
    NumericFamily,
    blocks,
    categories,
    splits_by_column,
)
from backbeat.errors import InvalidData

__all__ = ["Counted", "Engine"]

Columns = dict[str, NumericColumn | CategoricalColumn]
Progress = Callable[[int, int | None], None]

# rows of text and vectors are wide: fewer of them make a block
_WIDE_BLOCK_ROWS = 8_192
# columns that one worker reads at a time
_SHARE_COLUMNS = 4
_CHANGED = "The data changed while it was profiled: {} different rows."
_CHANGED_HINT = "profile files that nobody writes to any more"


@dataclass(frozen=True)
class Counted:
    """What the passes found.

    Args:
        rows: Number of rows.
        columns: What was counted over all of them.
        fitted: The terms of the residual columns.
        segments: Rows and columns per segment.
    """

    rows: int
    columns: Columns
    fitted: tuple[Residual, ...]
    segments: dict[str, tuple[int, Columns]]


class _Lane(Protocol):
    """Work on one source of columns; its blocks come one after the other."""

    @property
    def inputs(self) -> Sequence[str]: ...

    def take(self, block: pa.Table, cuts: Slots) -> None: ...


@dataclass
class _Finder:
    finder: EdgeFinder

    def add(self, block: Numbers, cuts: Slots = ()) -> None:
        self.finder.add(block.values)


@dataclass
class _Columns:
    source: Source | Explained
    counters: dict[str, NumericCounter | CategoryCounter] = field(default_factory=dict)
    finders: dict[str, EdgeFinder] = field(default_factory=dict)

    @property
    def inputs(self) -> Sequence[str]:
        return self.source.inputs

    def take(self, block: pa.Table, cuts: Slots) -> None:
        for name, values in self.source.values(block):
            counter = self.counters.get(name)
            if isinstance(values, Numbers):
                if name in self.finders:
                    self.finders[name].add(values.values)
                elif isinstance(counter, NumericCounter):
                    counter.add(values, cuts)
            elif isinstance(counter, CategoryCounter):
                counter.add(values, cuts)


@dataclass
class _Sampling:
    explained: Explained
    sample: Sample = field(default_factory=Sample)

    @property
    def inputs(self) -> Sequence[str]:
        return self.explained.inputs

    def take(self, block: pa.Table, cuts: Slots) -> None:
        target, parts = self.explained.parts(block)
        self.sample.add(target, [parts[source.name] for source in self.explained.given])


@dataclass
class _Values:
    counter: ValueCounter

    @property
    def inputs(self) -> Sequence[str]:
        return (self.counter.column,)

    def take(self, block: pa.Table, cuts: Slots) -> None:
        self.counter.add(categories(block.column(self.counter.column)))


class Engine:
    """Counts a dataset by a plan.

    Args:
        data: The rows.
        plan: What to compute.
        frozen: Columns whose edges and lists of categories are used.
        bins: About how many bins a numeric column gets.
        index: The segments; None where there are none, or `by` still has to choose them.
        by: Columns whose values the segments are to be chosen from.
        progress: Called with the rows done and their total.
    """

    def __init__(
        self,
        data: ds.Dataset,
        plan: Plan,
        *,
        frozen: Mapping[str, NumericColumn | CategoricalColumn],
        bins: int,
        index: SegmentIndex | None,
        by: Sequence[str],
        progress: Progress | None,
    ) -> None:
        self._data, self._plan, self._frozen, self._bins = data, plan, frozen, bins
        self._index = index
        self._choose = [] if index is not None else list(by)
        self._progress = progress
        self._done = 0
        self._total = _rows_of(data) if progress else None
        wide = any(isinstance(s.how, (TextFeatures, EmbeddingFeatures)) for s in plan.sources)
        self._block_rows = _WIDE_BLOCK_ROWS if wide else BLOCK_ROWS

    def run(self) -> Counted:
        """Count; once where everything is frozen, else twice.

        Raises:
            ContractBroken: A column cannot cut the rows into segments, or vectors differ in size.
            InvalidData: The data cannot be read to its end, or changed between the passes.
            StorageFull: The disk failed; a retry can help.
        """
        values = [_Values(ValueCounter(column)) for column in self._choose]
        samples = [_Sampling(each) for each in self._plan.explained if each.how is None]
        first = [self._first(source) for source in self._plan.sources]
        first += [self._first(each) for each in self._plan.explained if each.how is not None]
        two = bool(values or samples or any(lane.finders for lane in first))
        rows = self._scan([*samples, *values, *first], passes=2 if two else 1)
        if values:
            found = {lane.counter.column: lane.counter.totals() for lane in values}
            self._index = chosen_segments(found)
        fitted = [self._fitted(lane) for lane in samples]
        again = [lane for lane in [*map(self._second, first), *(f[0] for f in fitted)] if lane]
        if again and (self._scan(again, passes=2) != rows or _outside(again, first)):
            raise InvalidData(_CHANGED.format("its two passes saw"), hint=_CHANGED_HINT)
        return self._counted(rows, [*first, *again], tuple(how for _, how in fitted))

    def _first(self, source: Source | Explained) -> _Columns:
        lane = _Columns(source)
        for feature in source.features:
            frozen = self._frozen.get(feature.name)
            if not feature.numeric:
                lane.counters[feature.name] = self._category_counter(frozen)
            elif not isinstance(frozen, NumericColumn):
                lane.finders[feature.name] = EdgeFinder(self._bins)
            elif not self._choose:
                lane.counters[feature.name] = self._number_counter(feature, frozen.edges)
        return lane

    def _second(self, first: _Columns) -> _Columns | None:
        lane = _Columns(first.source)
        for feature in first.source.features:
            counter, frozen = first.counters.get(feature.name), self._frozen.get(feature.name)
            if feature.name in first.finders:
                edges = first.finders[feature.name].edges()
                lane.counters[feature.name] = self._number_counter(feature, edges)
            elif isinstance(counter, CategoryCounter) and counter.overflowed:
                lane.counters[feature.name] = CategoryCounter(
                    names=counter.frequent(), slots=self._slots
                )
            elif self._choose and isinstance(frozen, NumericColumn):
                lane.counters[feature.name] = self._number_counter(feature, frozen.edges)
            elif self._choose:
                lane.counters[feature.name] = self._category_counter(frozen)
        return lane if lane.counters else None

    def _fitted(self, lane: _Sampling) -> tuple[_Columns, Residual]:
        explained = lane.explained
        names = [source.name for source in explained.given]
        kinds = ["numeric" if s.features[0].numeric else "categorical" for s in explained.given]
        how = fit(explained.target.name, names, lane.sample, kinds)
        target, parts = lane.sample.drawn()
        finder = EdgeFinder(self._bins)
        if target.size:
            left = residuals(Numbers(target), dict(zip(names, parts, strict=True)), how)
            finder.add(left.values)
        counter = NumericCounter("number", finder.edges(), slots=self._slots, widen=True)
        return _Columns(replace(explained, how=how), {explained.name: counter}), how

    @property
    def _slots(self) -> int:
        return 1 if self._index is None else 1 + len(self._index.names)

    def _number_counter(self, feature: Feature, edges: tuple[float, ...]) -> NumericCounter:
        family = cast("NumericFamily", feature.family)
        return NumericCounter(family, edges, slots=self._slots, zoned=feature.zoned)

    def _category_counter(
        self, frozen: NumericColumn | CategoricalColumn | None
    ) -> CategoryCounter:
        if not isinstance(frozen, CategoricalColumn):
            return CategoryCounter(slots=self._slots)
        if frozen.complete:
            return CategoryCounter(fold_onto=frozen.counts, slots=self._slots)
        return CategoryCounter(names=frozen.counts, slots=self._slots)

    def _scan(self, lanes: Sequence[_Lane], *, passes: int) -> int:
        if self._index is not None:
            self._index.rows[:] = 0
        workers = pa.cpu_count()
        shares = self._shares(lanes, workers)
        if workers == len(shares) == 1:
            return self._stream(lanes, None, self._teller(passes))
        with ThreadPoolExecutor(workers, thread_name_prefix="backbeat-profile") as pool:
            if len(shares) == 1:
                return self._stream(lanes, pool, self._teller(passes))
            return self._beside(shares, pool, self._teller(passes))

    def _shares(self, lanes: Sequence[_Lane], workers: int) -> list[list[_Lane]]:
        """The lanes in parts that are read and counted apart, or all in one."""
        if self._index is not None or not splits_by_column(self._data):
            return [list(lanes)]
        # the fields of a struct are read at once
        together: dict[str, list[_Lane]] = {}
        for lane in lanes:
            together.setdefault(lane.inputs[0], []).append(lane)
        groups = list(together.values())
        # as many for every worker, so that they end together
        rounds = -(-len(groups) // (_SHARE_COLUMNS * workers))
        size = min(rounds * workers, len(groups)) or 1
        return [list(chain(*groups[first::size])) for first in range(size)]

    def _beside(
        self,
        shares: Sequence[Sequence[_Lane]],
        pool: ThreadPoolExecutor,
        tell: Callable[[int], None],
    ) -> int:
        """Shares beside each other: each has a worker that reads its columns and counts them.

        Workers that pass blocks of all columns on to each other wait for the interpreter's lock
        most of the time. And what is held does not grow with the number of columns.
        """
        stop = Event()
        heard: SimpleQueue[int | None] = SimpleQueue()

        def hear(rows: int) -> None:
            heard.put(rows)
            if stop.is_set():
                raise CancelledError

        under_way = [pool.submit(self._stream, share, None, hear) for share in shares]
        try:
            for each in under_way:
                each.add_done_callback(lambda _: heard.put(None))
            rows, left = 0, len(under_way)
            while left:
                # the callback is the caller's: it is called in the caller's thread
                block = heard.get()
                if block is None:
                    left -= 1
                    for each in under_way:
                        if each.done():
                            each.result()
                else:
                    before, rows = rows, rows + block
                    tell(rows // len(shares) - before // len(shares))
        finally:
            stop.set()
            for each in under_way:
                each.cancel()
        seen = {each.result() for each in under_way}
        if len(seen) > 1:
            raise InvalidData(_CHANGED.format("its columns have"), hint=_CHANGED_HINT)
        return seen.pop()

    def _teller(self, passes: int) -> Callable[[int], None]:
        total = None if self._total is None else passes * self._total

        def tell(rows: int) -> None:
            self._done += rows
            if self._progress:
                self._progress(self._done, total)

        return tell

    def _stream(
        self, lanes: Sequence[_Lane], pool: ThreadPoolExecutor | None, tell: Callable[[int], None]
    ) -> int:
        names = [name for lane in lanes for name in lane.inputs]
        names += [] if self._index is None else self._index.columns
        rows = 0
        working: list[Future[None]] = []
        for block in blocks(self._data, list(dict.fromkeys(names)), self._block_rows):
            size = block.num_rows
            cuts: Slots = () if self._index is None else self._index.cuts(block)
            # one block is counted while the next is read; a column sees its blocks in order
            for each in working:
                each.result()
            if pool is None:
                for lane in lanes:
                    lane.take(block, cuts)
            else:
                working = [pool.submit(lane.take, block, cuts) for lane in lanes]
            # its memory is given back before the next one is read
            del block
            rows += size
            tell(size)
        for each in working:
            each.result()
        return rows

    def _counted(
        self, rows: int, lanes: Sequence[_Columns], fitted: tuple[Residual, ...]
    ) -> Counted:
        # what the second pass counted replaces what the first one did
        last = {name: counter for lane in lanes for name, counter in lane.counters.items()}
        features = [source.features for source in self._plan.sources]
        features += [explained.features for explained in self._plan.explained]
        names = [feature.name for each in features for feature in each]
        found = {name: last[name].columns() for name in names}
        columns: Columns = {name: slots[0] for name, slots in found.items()}
        segments = {
            title: (
                int(self._index.rows[slot]),
                {name: slots[slot] for name, slots in found.items()},
            )
            for slot, title in enumerate([] if self._index is None else self._index.names, start=1)
            if self._index is not None
        }
        return Counted(rows, columns, fitted, segments)


def _outside(again: Sequence[_Columns], first: Sequence[_Columns]) -> bool:
    """Whether a value is outside the edges that the first pass chose to hold all of them."""
    chosen = {name for lane in first for name in lane.finders}
    return any(
        name in chosen and isinstance(counter, NumericCounter) and counter.outside
        for lane in again
        for name, counter in lane.counters.items()
    )


def _rows_of(data: ds.Dataset) -> int | None:
    """The number of rows where it is known without reading them."""
    in_memory = isinstance(data, ds.InMemoryDataset)
    parquet = isinstance(getattr(data, "format", None), ds.ParquetFileFormat)
    with suppress(ValueError):  # a filtered dataset does not hand out its fragments
        data.get_fragments()
        return int(data.count_rows()) if in_memory or parquet else None
    return None
