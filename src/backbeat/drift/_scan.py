"""Streaming a dataset: which columns can be profiled, and their values block by block."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from backbeat.errors import BackbeatError, ContractBroken, InvalidData, StorageFull

__all__ = ["Family", "Floats", "NumericFamily", "blocks", "category_counts", "families", "numbers"]

NumericFamily = Literal["integer", "number", "boolean", "date", "time", "timestamp", "duration"]
Family = NumericFamily | Literal["category", "empty"]
Floats = npt.NDArray[np.float64]

BLOCK_ROWS = 131_072
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY_MS = 86_400_000


def families(schema: pa.Schema, columns: Sequence[str] | None) -> dict[str, Family]:
    """The columns to profile and how each is read.

    Args:
        schema: The dataset's schema.
        columns: The columns that were asked for, None for all.

    Raises:
        ContractBroken: A column is absent, ambiguous or of a nested or binary type.
    """
    names = list(schema.names) if columns is None else list(dict.fromkeys(columns))
    if not names:
        raise ContractBroken(
            "There are no columns to profile.", hint="name at least one column that the data has"
        )
    return {name: _family(schema, name) for name in names}


def _family(schema: pa.Schema, name: str) -> Family:
    found = schema.get_all_field_indices(name)
    if len(found) != 1:
        what = "is missing" if not found else f"appears {len(found)} times"
        near = difflib.get_close_matches(name, schema.names, n=1)
        raise ContractBroken(
            f"The column {name!r} {what} in the data.",
            hint=f"did you mean {near[0]!r}?" if near and not found else "check the columns' names",
        )
    kind = schema.field(found[0]).type
    for matches, family in _FAMILIES:
        if matches(kind):
            return family
    raise ContractBroken(
        f"The column {name!r} is of type {kind}, which has no distribution to compare.",
        hint="leave it out with `columns`, or flatten it to numbers or strings first",
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_codes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) and not pa.types.is_nested(kind.value_type))


_FAMILIES: tuple[tuple[Any, Family], ...] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_time, "time"),
    (pa.types.is_duration, "duration"),
    (_is_text, "category"),
    (_is_codes, "category"),
    (pa.types.is_null, "empty"),
)


def blocks(data: ds.Dataset, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The rows in order, in tables of exactly `BLOCK_ROWS` rows (the last one is shorter).

    Equal blocks make the profile independent of how the rows were cut into files, row groups
    and batches: floating-point sums are then always taken over the same rows.

    Raises:
        InvalidData: The files are truncated, gone or not of their format.
        StorageFull: The disk failed while reading; a retry can help.
    """
    held: list[pa.RecordBatch] = []
    rows = 0
    try:
        for batch in _batches(data, columns):
            start = 0
            while start < batch.num_rows:
                piece = batch.slice(start, BLOCK_ROWS - rows)
                held.append(piece)
                rows += piece.num_rows
                start += piece.num_rows
                if rows == BLOCK_ROWS:
                    yield pa.Table.from_batches(held)
                    held, rows = [], 0
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(error) from error
    if rows:
        yield pa.Table.from_batches(held)


def _batches(data: ds.Dataset, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    wanted = {name: ds.field(name) for name in columns}
    for part in _parts(data):
        options: dict[str, Any] = {}
        if isinstance(part, ds.ParquetFileFragment):
            # the default buffers whole row groups ahead: 2,185 MiB instead of 430 over 20M rows
            options["fragment_scan_options"] = ds.ParquetFragmentScanOptions(pre_buffer=False)
        if isinstance(part, ds.Fragment):
            options["schema"] = data.schema
        yield from part.to_batches(
            columns=wanted,
            batch_size=BLOCK_ROWS,
            batch_readahead=0,
            fragment_readahead=0,
            **options,
        )


def _parts(data: ds.Dataset) -> Iterator[ds.Dataset | ds.Fragment]:
    """Pieces of which one at a time fits in memory: row groups of Parquet, else files."""
    try:
        fragments = iter(data.get_fragments())
        first = next(fragments, None)
    except ValueError:  # a filtered dataset does not hand out its fragments
        yield data
        return
    for fragment in [] if first is None else chain([first], fragments):
        if isinstance(fragment, ds.ParquetFileFragment):
            yield from fragment.split_by_row_group()
        else:
            yield fragment


def _unreadable(error: Exception) -> BackbeatError:
    if isinstance(error, OSError) and error.errno and not isinstance(error, FileNotFoundError):
        return StorageFull(f"Reading the data failed: {error}.", hint="check the disk or share")
    return InvalidData(
        f"The data could not be read to its end: {str(error).rstrip('.')}.",
        hint="write the file again; it is truncated, gone or not of the format it claims",
    )


def numbers(column: pa.ChunkedArray) -> Floats:
    """The values that are not null as float64, NaN and infinities among them.

    Dates become days and times, durations and timestamps seconds (since 1970 where they are
    points in time), so that a change of the stored unit alone is no change of the data.
    """
    present = pc.drop_null(column)
    kind = present.type
    if pa.types.is_boolean(kind):
        raw = present.cast(pa.uint8()).to_numpy()
    elif pa.types.is_decimal(kind):
        raw = present.cast(pa.float64()).to_numpy()
    elif pa.types.is_date32(kind) or pa.types.is_time32(kind):
        raw = present.cast(pa.int32()).to_numpy()
    elif pa.types.is_temporal(kind):
        raw = present.cast(pa.int64()).to_numpy()
    else:
        raw = present.to_numpy()
    values: Floats = raw.astype(np.float64)
    if pa.types.is_date64(kind):
        values /= _DAY_MS
    elif pa.types.is_temporal(kind) and not pa.types.is_date(kind):
        values /= _PER_SECOND[kind.unit]
    values += 0.0  # -0.0 and 0.0 are one value, JSON has only one of them
    return values


def category_counts(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each category occurs in a block; nulls are left out.

    Raises:
        InvalidData: A string is not UTF-8.
    """
    present = pc.drop_null(column)
    if pa.types.is_dictionary(present.type):
        present = present.cast(present.type.value_type)
    if pa.types.is_null(present.type):
        return {}
    counted = pc.value_counts(present.cast(pa.large_string()))
    try:
        names = counted.field("values").to_pylist()
    except UnicodeDecodeError as error:
        raise InvalidData(
            f"A category is not UTF-8 text: {error}.", hint="write the column as UTF-8 strings"
        ) from error
    return dict(zip(names, counted.field("counts").to_pylist(), strict=True))
