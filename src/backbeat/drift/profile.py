"""The profile of a dataset: small, versioned, exact, and mergeable by adding integers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, Literal, cast

import pyarrow.dataset as ds
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError, model_validator

from backbeat.canonical import canonical_bytes
from backbeat.drift._columns import CategoricalColumn, Column, NumericColumn, merged
from backbeat.drift._count import CategoryCounter, NumericCounter
from backbeat.drift._quantiles import EdgeFinder
from backbeat.drift._scan import Family, NumericFamily, blocks, families, numbers
from backbeat.errors import InvalidData

__all__ = ["CategoricalColumn", "NumericColumn", "Profile", "build_profile"]

_FORMAT: Final = "backbeat.profile"
_VERSION: Final = 1


class Profile(BaseModel):
    """Exact counts of every column of a dataset, on edges that are frozen once.

    Args:
        format: Names the file format.
        version: Version of the file format.
        rows: Number of rows.
        columns: What was counted, per column.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["backbeat.profile"] = _FORMAT
    version: Literal[1] = _VERSION
    rows: NonNegativeInt
    columns: dict[str, Column]

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        for name, column in self.columns.items():
            if column.present + column.missing != self.rows:
                raise ValueError(f"the counts of {name!r} do not add up to the rows")
        return self

    def merge(self, other: Profile) -> Profile:
        """The profile of both sides' rows together.

        Merging adds integers: it is commutative and associative. (The mean and the squared
        differences are floats; their last bits depend on how three or more are grouped.)

        Args:
            other: A profile on the same edges, such as another partition's.

        Raises:
            InvalidData: The columns or their edges differ.
        """
        if self.columns.keys() != other.columns.keys():
            differing = sorted(self.columns.keys() ^ other.columns.keys())
            raise InvalidData(
                f"The profiles do not have the same columns: {', '.join(map(repr, differing))}.",
                hint="profile the same `columns` on both sides",
            )
        return Profile(
            rows=self.rows + other.rows,
            columns={
                name: merged(mine, other.columns[name], name=name)
                for name, mine in self.columns.items()
            },
        )

    def to_bytes(self) -> bytes:
        """The profile as canonical JSON (RFC 8785): equal profiles are equal bytes."""
        return canonical_bytes(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> Profile:
        """Read a profile back.

        Raises:
            InvalidData: The bytes are truncated, are not a profile, or of a newer version.
        """
        again = "build the profile again"
        try:
            content = json.loads(data)
        except ValueError as error:
            raise InvalidData(
                f"This profile is truncated or not JSON: {error}.", hint=again
            ) from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise InvalidData(
                "This JSON is not a drift profile.", hint="pass what `Profile.to_bytes` wrote"
            )
        version = content.get("version")
        if isinstance(version, int) and version > _VERSION:
            raise InvalidData(
                f"This profile has version {version}, newer than {_VERSION}, the newest known.",
                hint="upgrade backbeat, or build the profile again with this version",
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidData(
                f"This profile is damaged: {where or 'profile'}: {first['msg']}.", hint=again
            ) from error


def build_profile(
    data: ds.Dataset,
    *,
    columns: Sequence[str] | None = None,
    edges_from: Profile | None = None,
    bins: int = 1000,
) -> Profile:
    """Count a dataset: a first pass chooses edges, a second one counts every value on them.

    With `edges_from`, the columns it has are counted on its edges in a single pass. A column with
    at most `bins` distinct numbers gets them all as edges. Categories are counted by name up to
    10,000 of them, beyond that the 1,000 most frequent and the rest. The rows are streamed; the
    memory does not grow with their number, and the same rows in the same order give the same
    bytes.

    Args:
        data: The rows; numbers, booleans, decimals, dates, times, strings and dictionaries.
        columns: The columns to count, None for all. With `edges_from`, one that only the data
            lacks is left out, so that `decide` can name it.
        edges_from: The reference whose edges and lists of categories are used.
        bins: About how many bins a numeric column is cut into.

    Returns:
        The profile; without rows it has empty counts.

    Raises:
        ContractBroken: A column is missing, ambiguous or of a nested or binary type.
        InvalidData: The data cannot be read to its end, or changed while it was read.
        StorageFull: The disk failed; a retry can help.
    """
    reference = {} if edges_from is None else edges_from.columns
    if columns is not None:
        present = set(data.schema.names)
        columns = [name for name in columns if name in present or name not in reference]
    kinds = {
        name: _as_reference(family, reference.get(name))
        for name, family in families(data.schema, columns).items()
    }
    numeric = {
        name: cast("NumericFamily", family)
        for name, family in kinds.items()
        if family not in ("category", "empty")
    }
    counters: dict[str, NumericCounter | CategoryCounter] = {}
    finders: dict[str, EdgeFinder] = {}
    for name in kinds:
        frozen = reference.get(name)
        if name not in numeric:
            counters[name] = _category_counter(frozen)
        elif isinstance(frozen, NumericColumn):
            counters[name] = NumericCounter(numeric[name], frozen.edges)
        else:
            finders[name] = EdgeFinder(bins)
    rows = _scan(data, counters, finders)
    again: dict[str, NumericCounter | CategoryCounter] = {
        name: NumericCounter(numeric[name], finder.edges()) for name, finder in finders.items()
    }
    for name, counter in counters.items():
        if isinstance(counter, CategoryCounter) and counter.overflowed:
            again[name] = CategoryCounter(names=counter.frequent())
    if again and _scan(data, again, {}) != rows:
        raise InvalidData(
            "The data changed while it was profiled: its two passes saw different rows.",
            hint="profile files that nobody writes to any more",
        )
    counters |= again
    return Profile(rows=rows, columns={name: counters[name].column() for name in kinds})


def _as_reference(family: Family, frozen: NumericColumn | CategoricalColumn | None) -> Family:
    # a column of nulls only has no type of its own: it takes the reference's
    return frozen.family if family == "empty" and frozen is not None else family


def _category_counter(frozen: NumericColumn | CategoricalColumn | None) -> CategoryCounter:
    if not isinstance(frozen, CategoricalColumn):
        return CategoryCounter()
    if frozen.complete:
        return CategoryCounter(fold_onto=frozen.counts)
    return CategoryCounter(names=frozen.counts)


def _scan(
    data: ds.Dataset,
    counters: dict[str, NumericCounter | CategoryCounter],
    finders: dict[str, EdgeFinder],
) -> int:
    rows = 0
    for block in blocks(data, [*counters, *finders]):
        rows += block.num_rows
        for name, counter in counters.items():
            counter.add(block.column(name))
        for name, finder in finders.items():
            finder.add(numbers(block.column(name)))
    return rows
