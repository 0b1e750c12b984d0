"""Which segment every row belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from backbeat.drift._count import CategoryCounter, Slots
from backbeat.drift._scan import Categories, categories
from backbeat.errors import ContractBroken

__all__ = ["SegmentIndex", "ValueCounter", "chosen_segments", "frozen_segments"]

SEGMENTS = 50
MOST_VALUES = 1_000
_OTHER, _MISSING = "(other)", "(missing)"


class SegmentIndex:
    """Finds the slots of rows; slot 0 is all of them.

    Args:
        names: Per column the segments' names and their values, such as
            `{"origin": {"JFK": "origin=JFK"}}`; what has none belongs to `origin=(other)`.
    """

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        self._slots: dict[str, dict[str, int]] = {}
        self.names: list[str] = []
        for column, values in names.items():
            self._slots[column] = {}
            for value in (*values, _OTHER):
                if value not in self._slots[column]:
                    self.names.append(f"{column}={value}")
                    self._slots[column][value] = len(self.names)
        self.rows = np.zeros(len(self.names) + 1, dtype=np.int64)

    @property
    def columns(self) -> list[str]:
        """The columns that cut the rows."""
        return list(self._slots)

    def cuts(self, block: pa.Table) -> Slots:
        """Per column, every row's slot; counts the rows as well."""
        found = []
        self.rows[0] += block.num_rows
        for column, slots in self._slots.items():
            values = categories(block.column(column))
            other = slots[_OTHER]
            per_code = np.asarray(
                [slots.get(name, other) for name in values.spelled()] or [other], dtype=np.int64
            )
            cut = np.full(block.num_rows, slots.get(_MISSING, other), dtype=np.int64)
            cut[slice(None) if values.valid is None else values.valid] = per_code[values.codes]
            self.rows += np.bincount(cut, minlength=self.rows.size)
            found.append(cut)
        return found


class ValueCounter:
    """Counts the values of a column that cuts the rows, to choose the segments.

    Args:
        column: Its name.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self._counter = CategoryCounter()
        self._missing = 0

    def add(self, block: Categories) -> None:
        """Count one block."""
        self._counter.add(block)
        self._missing += block.nulls

    def totals(self) -> dict[str, int]:
        """Rows per value.

        Raises:
            ContractBroken: There are too many values to be segments.
        """
        totals = {} if self._counter.overflowed else self._counter.totals()
        if self._counter.overflowed or len(totals) > MOST_VALUES:
            said = "10,000" if self._counter.overflowed else f"{len(totals):,}"
            raise ContractBroken(
                f"The column {self.column!r} cannot cut the rows into segments: it has {said} or "
                f"more values, the limit is {MOST_VALUES:,}.",
                hint="cut by a column with fewer values, such as a region instead of a customer",
            )
        if self._missing:
            totals[_MISSING] = totals.get(_MISSING, 0) + self._missing
        return totals


def chosen_segments(totals: Mapping[str, Mapping[str, int]]) -> SegmentIndex:
    """The 50 segments with the most rows, over all the columns that cut them."""
    ranked = sorted(
        (
            (-rows, column, value)
            for column, found in totals.items()
            for value, rows in found.items()
        )
    )[:SEGMENTS]
    kept: dict[str, list[str]] = {column: [] for column in totals}
    for _, column, value in ranked:
        kept[column].append(value)
    return SegmentIndex({column: sorted(values) for column, values in kept.items()})


def frozen_segments(frozen: Sequence[str], by: Sequence[str], names: Iterable[str]) -> SegmentIndex:
    """The segments of a reference, by their names.

    Args:
        frozen: The columns that cut the reference.
        by: Those of them that the data has.
        names: The reference's segments.
    """
    kept: dict[str, list[str]] = {column: [] for column in frozen}
    for name in names:
        # no column that cuts has the sign in its own name
        column, _, value = name.partition("=")
        kept[column].append(value)
    return SegmentIndex({column: kept[column] for column in by})
