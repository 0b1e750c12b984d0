"""Streaming a dataset: its rows in equal blocks, and a column's values as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from backbeat.errors import BackbeatError, InvalidData, StorageFull

__all__ = [
    "BLOCK_ROWS",
    "Categories",
    "Family",
    "Flags",
    "Floats",
    "Numbers",
    "NumericFamily",
    "blocks",
    "categories",
    "numbers",
    "splits_by_column",
]

NumericFamily = Literal[
    "integer",
    "number",
    "boolean",
    "date",
    "time",
    "timestamp",
    "naive timestamp",
    "zoned timestamp",
    "duration",
]
Family = NumericFamily | Literal["category", "empty"]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BLOCK_ROWS = 65_536
_BUFFER_BYTES = 131_072
_WORTH_OPENING = 1_048_576
_DICTIONARY_BYTES = 1_048_576
_CODE_BYTES = 4
_TWO_CORES = 2
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY_MS = 86_400_000
_CODES = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class Numbers:
    """A block of a numeric column.

    Args:
        values: The values that are not null, NaN and infinities among them.
        valid: Per row whether it has a value; None where all do.
    """

    values: Floats
    valid: Flags | None = None

    @property
    def nulls(self) -> int:
        """Rows without a value."""
        return 0 if self.valid is None else self.valid.size - self.values.size

    def whole(self) -> Floats:
        """One value per row, NaN for the nulls."""
        if self.valid is None:
            return self.values
        filled = np.full(self.valid.size, np.nan)
        filled[self.valid] = self.values
        return filled


@dataclass(frozen=True)
class Categories:
    """A block of a categorical column.

    Args:
        codes: The category of every row that is not null, as a place among the names.
        names: An Arrow array of strings; not all of them need to occur.
        valid: Per row whether it has a category; None where all do.
    """

    codes: npt.NDArray[Any]
    names: pa.Array
    valid: Flags | None = None

    @property
    def nulls(self) -> int:
        """Rows without a category."""
        return 0 if self.valid is None else self.valid.size - self.codes.size

    def spelled(self) -> list[str]:
        """The names as strings.

        Raises:
            InvalidData: A string is not UTF-8.
        """
        try:
            return [str(name) for name in self.names.to_pylist()]
        except UnicodeDecodeError as error:
            raise InvalidData(
                f"A category is not UTF-8 text: {error}.", hint="write the column as UTF-8 strings"
            ) from error


def blocks(data: ds.Dataset, columns: Sequence[str], rows: int = BLOCK_ROWS) -> Iterator[pa.Table]:
    """The rows in order, in tables of exactly so many rows (the last one is shorter).

    Equal blocks make the profile independent of how the rows were cut into files, row groups
    and batches: floating-point sums are then always taken over the same rows.

    Raises:
        InvalidData: The files are truncated, gone or not of their format.
        StorageFull: The disk failed while reading; a retry can help.
    """
    held: list[pa.Table] = []
    size = 0
    try:
        for batch in _batches(data, columns, rows):
            start, end = 0, batch.num_rows
            while start < end:
                held.append(batch.slice(start, rows - size))
                start += held[-1].num_rows
                size += held[-1].num_rows
                if start >= end:
                    # nothing holds a block's memory while the next one is decoded
                    del batch
                if size == rows:
                    whole, held, size = [_joined(held)], [], 0
                    yield whole.pop()
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(error) from error
    if size:
        yield _joined(held)


def splits_by_column(data: ds.Dataset) -> bool:
    """Whether some of the columns can be read at a time for the price of reading all at once.

    So it is with Parquet files on this machine's disks, unless they are so small that opening
    them costs more than reading them. Of a text file every reader would parse all columns, and a
    bucket would be asked more often.
    """
    if not (
        isinstance(data, ds.FileSystemDataset)
        and isinstance(data.format, ds.ParquetFileFormat)
        and isinstance(data.filesystem, LocalFileSystem)
    ):
        return False
    try:
        data.get_fragments()
        sizes = [Path(file).stat().st_size for file in data.files]
    except (ValueError, OSError):  # filtered, which needs the scanner; or a file is gone
        return False
    return sum(sizes) > _WORTH_OPENING * len(sizes)


def _joined(pieces: list[pa.Table]) -> pa.Table:
    # a column can be codes in one file and text in the next
    return pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces, promote_options="permissive")


def _batches(data: ds.Dataset, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
    for part in _parts(data):
        if isinstance(part, ds.ParquetFileFragment):
            yield from _parquet(part, data.schema, columns, rows)
            continue
        options: dict[str, Any] = {"schema": data.schema} if isinstance(part, ds.Fragment) else {}
        for batch in part.to_batches(
            columns={name: ds.field(name) for name in columns},
            batch_size=rows,
            batch_readahead=0,
            fragment_readahead=0,
            **options,
        ):
            yield pa.Table.from_batches([batch])


def _parts(data: ds.Dataset) -> Iterator[ds.Dataset | ds.Fragment]:
    try:
        fragments = iter(data.get_fragments())
        first = next(fragments, None)
    except ValueError:  # a filtered dataset does not hand out its fragments
        yield data
        return
    yield from [] if first is None else chain([first], fragments)


def _parquet(
    part: ds.ParquetFileFragment, schema: pa.Schema, columns: Sequence[str], rows: int
) -> Iterator[pa.Table]:
    # the scanner of datasets decodes whole row groups ahead: 2,700 MiB instead of 240 over 10M rows
    keys = ds.get_partition_keys(part.partition_expression)
    there = {field.name: field.type for field in part.physical_schema}
    own = [name for name in columns if name in there and name not in keys]
    texts = [name for name in own if _is_text(there[name]) and _is_text(schema.field(name).type)]
    with part.open() as source:
        footer = pq.read_metadata(source)
        file = pq.ParquetFile(
            source,
            metadata=footer,
            read_dictionary=sorted(set(texts) - _mostly_distinct(footer)),
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
        )
        batches = file.iter_batches(
            batch_size=rows,
            row_groups=[group.id for group in part.row_groups],
            columns=own,
            # on two cores the counting fills the other one; decoding ahead only costs memory
            use_threads=pa.cpu_count() > _TWO_CORES,
        )
        # no loop, as its variable would hold a batch while the next one is decoded
        yield from map(partial(_in_schema, schema=schema, columns=columns, keys=keys), batches)


def _mostly_distinct(footer: pq.FileMetaData) -> set[str]:
    """Columns that take more bytes than codes and a dictionary would.

    Read as codes, each of their batches would bring all strings of the row group so far.
    """
    return {
        chunk.path_in_schema
        for group in map(footer.row_group, range(footer.num_row_groups))
        for chunk in map(group.column, range(group.num_columns))
        if chunk.total_uncompressed_size > _DICTIONARY_BYTES + _CODE_BYTES * chunk.num_values
    }


def _in_schema(
    batch: pa.RecordBatch, schema: pa.Schema, columns: Sequence[str], keys: dict[str, Any]
) -> pa.Table:
    found = {}
    for name in columns:
        wanted = schema.field(name).type
        if name in keys:
            array = pa.repeat(pa.scalar(keys[name], wanted), batch.num_rows)
        elif name in batch.schema.names:
            array = batch.column(name)
        else:
            array = pa.nulls(batch.num_rows, wanted)
        as_codes = pa.types.is_dictionary(array.type) and _is_text(wanted)
        found[name] = array if as_codes or array.type == wanted else array.cast(wanted)
    return pa.table(found) if found else pa.Table.from_batches([batch]).select([])


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _unreadable(error: Exception) -> BackbeatError:
    if isinstance(error, OSError) and error.errno and not isinstance(error, FileNotFoundError):
        return StorageFull(f"Reading the data failed: {error}.", hint="check the disk or share")
    reason = str(error).rstrip(".")
    hint = "write the file again; it is truncated, gone or not of the format it claims"
    if "conversion error" in reason:
        hint = "the column mixes types: clean it, or open the dataset with it read as strings"
    return InvalidData(f"The data could not be read to its end: {reason}.", hint=hint)


def numbers(column: pa.ChunkedArray) -> Numbers:
    """The values as float64.

    Dates become days and times, durations and timestamps seconds (since 1970 where they are
    points in time), so that a change of the stored unit alone is no change of the data. Strings
    are parsed, and are NaN where they are no number.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    valid = None
    if column.null_count:
        valid = np.asarray(pc.is_valid(column))
        column = pc.drop_null(column)
    kind = column.type
    values: Floats = _raw(column).astype(np.float64, copy=False)
    if pa.types.is_date64(kind):
        values = values / _DAY_MS
    elif pa.types.is_temporal(kind) and not pa.types.is_date(kind):
        values = values / _PER_SECOND[kind.unit]
    return Numbers(values, valid)


def _raw(present: pa.ChunkedArray) -> npt.NDArray[Any]:
    kind = present.type
    if pa.types.is_null(kind):
        return np.empty(0)
    if _is_text(kind):
        return _parsed(present)
    if pa.types.is_boolean(kind):
        present = present.cast(pa.uint8())
    elif pa.types.is_decimal(kind):
        present = present.cast(pa.float64())
    elif pa.types.is_date32(kind) or pa.types.is_time32(kind):
        present = present.cast(pa.int32())
    elif pa.types.is_temporal(kind):
        present = present.cast(pa.int64())
    return np.asarray(present.to_numpy())


def _parsed(column: pa.ChunkedArray) -> Floats:
    trimmed = pc.utf8_trim_whitespace(column)
    with suppress(pa.ArrowInvalid):
        found: Floats = trimmed.cast(pa.float64()).to_numpy()
        return found
    looks = pc.match_substring_regex(
        trimmed, r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
    )
    # Arrow parses no leading plus
    plain = pc.replace_substring_regex(trimmed, r"^\+", "")
    parsed = pc.if_else(looks, plain, "nan").cast(pa.float64())
    return np.asarray(parsed, dtype=np.float64)


def categories(column: pa.ChunkedArray) -> Categories:
    """The values by name; what is not text is spelled as Arrow casts it."""
    kind = column.type
    if pa.types.is_null(kind):
        empty = np.empty(0, dtype=np.int64)
        return Categories(empty, pa.array([], pa.string()), np.zeros(len(column), dtype=np.bool_))
    if pa.types.is_dictionary(kind) and any(c.dictionary.null_count for c in column.chunks):
        column = column.cast(kind.value_type)
    if not pa.types.is_dictionary(column.type):
        text = column if _is_text(column.type) else column.cast(pa.string())
        column = pc.dictionary_encode(text)
    coded = column.unify_dictionaries().combine_chunks()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.chunk(0) if coded.num_chunks else pa.array([], _CODES)
    names = coded.dictionary
    if not _is_text(names.type):
        names = names.cast(pa.string())
    valid = None
    indices = coded.indices
    if coded.null_count:
        valid = np.asarray(coded.is_valid())
        indices = pc.drop_null(indices)
    return Categories(indices.to_numpy(), names, valid)
