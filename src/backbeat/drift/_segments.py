"""Segments in a profile's file: counts without the edges, which they share with all the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from backbeat.drift._columns import CategoricalColumn, NumericColumn

__all__ = ["SegmentCounts", "expand", "strip"]

Columns = Mapping[str, NumericColumn | CategoricalColumn]


def _is_default(value: Any) -> bool:
    return not value and value is not False and not isinstance(value, float)


_ZERO: Any = Field(default=0, exclude_if=_is_default)
_NONE: Any = Field(default=None, exclude_if=lambda value: value is None)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class SegmentNumbers(_Frozen):
    """A numeric column's counts in one segment, on the edges that all rows are counted on.

    Args:
        counts: As in the whole profile, but -n stands for n empty bins.
        nulls: As in the whole profile, like all that follows.
    """

    kind: Literal["numeric"] = "numeric"
    counts: tuple[int, ...]
    nulls: NonNegativeInt = _ZERO
    nans: NonNegativeInt = _ZERO
    negative_infinite: NonNegativeInt = _ZERO
    positive_infinite: NonNegativeInt = _ZERO
    minimum: float | None = _NONE
    maximum: float | None = _NONE
    mean: float | None = _NONE
    m2: float | None = _NONE


class SegmentCategories(_Frozen):
    """A categorical column's counts in one segment, without the empty ones.

    Args:
        counts: Rows per category.
        other: As in the whole profile, like all that follows.
    """

    kind: Literal["categorical"] = "categorical"
    counts: dict[str, NonNegativeInt]
    other: NonNegativeInt = _ZERO
    nulls: NonNegativeInt = _ZERO
    distinct: str = Field(default="", exclude_if=_is_default)


class SegmentCounts(_Frozen):
    """One segment of the rows.

    Args:
        rows: Number of rows.
        columns: What was counted, of the same columns as the whole profile.
    """

    rows: NonNegativeInt
    columns: dict[str, Annotated[SegmentNumbers | SegmentCategories, Field(discriminator="kind")]]


def strip(rows: int, columns: Columns) -> SegmentCounts:
    """A segment as it is written."""
    return SegmentCounts(
        rows=rows, columns={name: _stripped(column) for name, column in columns.items()}
    )


def _stripped(column: NumericColumn | CategoricalColumn) -> SegmentNumbers | SegmentCategories:
    if isinstance(column, NumericColumn):
        kept = column.model_dump(include=set(SegmentNumbers.model_fields))
        return SegmentNumbers(**{**kept, "counts": tuple(_shortened(column.counts))})
    kept = column.model_dump(include=set(SegmentCategories.model_fields))
    counts = {name: count for name, count in column.counts.items() if count}
    return SegmentCategories(**{**kept, "counts": counts})


def _shortened(counts: Iterable[int]) -> Iterable[int]:
    for empty, run in groupby(counts, key=lambda count: count == 0):
        if empty:
            yield -sum(1 for _ in run)
        else:
            yield from run


def expand(counts: SegmentCounts, columns: Columns) -> dict[str, Any]:
    """A segment as it is used, with the edges and names of all rows' columns.

    Raises:
        ValueError: The segment's columns or bins are not those of the whole profile.
    """
    found: dict[str, NumericColumn | CategoricalColumn] = {}
    for name, column in counts.columns.items():
        whole = columns.get(name)
        if isinstance(whole, NumericColumn) and isinstance(column, SegmentNumbers):
            found[name] = _numbers(name, column, whole)
        elif isinstance(whole, CategoricalColumn) and isinstance(column, SegmentCategories):
            kept = column.model_dump()
            if not whole.complete:
                kept["counts"] = dict.fromkeys(whole.counts, 0) | kept["counts"]
            found[name] = CategoricalColumn(**kept, complete=whole.complete)
        else:
            # pydantic turns it into an error of the file
            raise ValueError(  # noqa: TRY004
                f"a segment has the column {name!r}, the whole profile does not"
            )
    return {"rows": counts.rows, "columns": found}


def _numbers(name: str, column: SegmentNumbers, whole: NumericColumn) -> NumericColumn:
    if sum(max(1, -count) for count in column.counts) != len(whole.counts):
        raise ValueError(f"a segment has other bins of {name!r} than the whole profile")
    shared = {"family": whole.family, "edges": whole.edges, "zoned": whole.zoned}
    kept: dict[str, Any] = column.model_dump() | shared
    # not validated again: that would copy the edges, which all segments share
    return NumericColumn.model_construct(**{**kept, "counts": tuple(_lengthened(column.counts))})


def _lengthened(counts: Iterable[int]) -> Iterable[int]:
    for count in counts:
        if count < 0:
            yield from (0,) * -count
        else:
            yield count
