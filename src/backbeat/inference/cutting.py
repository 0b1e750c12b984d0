"""Rows cut into requests and shards of a bounded size: images are few, numbers are many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backbeat.contract.media import is_binary

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

__all__ = ["SHARD_BYTES", "cuts", "request_bytes_of", "row_bytes", "shard_rows_within"]

SHARD_BYTES = 64 * 2**20
"""Bytes of a shard's values in memory, where its rows have images, sound or documents."""


_REQUEST_BYTES = 8 * 2**20
# a server takes messages of 4 MiB where nobody has told it otherwise
_GRPC_BYTES = 4 * 2**20 - 2**18


def request_bytes_of(transport: str) -> int:
    """Bytes of a request's values where nothing else is said.

    Args:
        transport: `http`, `https`, `grpc` or `grpcs`.
    """
    return _GRPC_BYTES if transport.startswith("grpc") else _REQUEST_BYTES


def row_bytes(rows: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> Any:
    """How many bytes each row's values take, as Arrow lays them out.

    Args:
        rows: The rows.
        columns: Those that are sent.

    Returns:
        numpy int64 of shape (rows,). Text and bytes count by their length, and lists of one size
        by what is in them; whatever else varies counts by its column's mean, rounded up.
    """
    import numpy as np

    total = np.zeros(len(rows), np.int64)
    for name in columns:
        total += _sizes(rows.column(name))
    return total


def cuts(
    rows: pa.Table | pa.RecordBatch, columns: Sequence[str], *, most_rows: int, most_bytes: int
) -> list[tuple[int, int]]:
    """Cut rows into requests: as many rows as fit, in order, and always the same ones.

    Where every row is small the cuts are at multiples of `most_rows`. A row that is itself larger
    than `most_bytes` is a request of its own.

    Args:
        rows: The rows of a shard.
        columns: Those that are sent.
        most_rows: Rows of a request, at least 1.
        most_bytes: Bytes of a request's values, before they are encoded: base64 adds a third.

    Returns:
        First row and the row behind the last, of each request.
    """
    import numpy as np

    count = len(rows)
    ends = np.cumsum(row_bytes(rows, columns)) if count else np.zeros(0, np.int64)
    found: list[tuple[int, int]] = []
    start = 0
    while start < count:
        before = int(ends[start - 1]) if start else 0
        fits = int(np.searchsorted(ends, before + most_bytes, side="right"))
        stop = min(max(fits, start + 1), start + most_rows, count)
        found.append((start, stop))
        start = stop
    return found


def shard_rows_within(
    data: ds.Dataset, columns: Sequence[str], shard_rows: int, *, most_bytes: int = SHARD_BYTES
) -> int:
    """Rows of a shard, fewer where they hold much: a whole shard is in memory at a time.

    It looks at the footers of Parquet files alone, and at the row group whose rows are largest, so
    that the same files give the same shards.

    Args:
        data: What is to be scored.
        columns: Those that are read.
        shard_rows: Rows of a shard where they are small.
        most_bytes: Bytes of a shard's values in memory.

    Returns:
        `shard_rows`, unless there is a binary column and so many rows would take more; at least 1.
    """
    if not any(is_binary(data.schema.field(name).type) for name in columns):
        return shard_rows
    largest = max(
        (_mean_bytes(group, columns) for group in _row_groups(data)),
        default=0.0,
    )
    return max(1, min(shard_rows, int(most_bytes / largest))) if largest else shard_rows


def _sizes(column: Any) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if is_binary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        lengths = pc.fill_null(pc.binary_length(column), 0)
        return np.asarray(lengths.to_numpy(), dtype=np.int64)
    # of a slice its own; a dictionary once
    mean = -(-column.nbytes // len(column)) if len(column) else 0
    return np.full(len(column), mean, np.int64)


def _row_groups(data: ds.Dataset) -> Any:
    for fragment in data.get_fragments():
        metadata = getattr(fragment, "metadata", None)
        if metadata is not None:
            for at in range(metadata.num_row_groups):
                yield metadata.row_group(at)


def _mean_bytes(group: Any, columns: Sequence[str]) -> float:
    """Bytes of a row of a row group, by its footer."""
    chunks = (group.column(at) for at in range(group.num_columns))
    # a nested column's path has its inner names behind the first dot
    known = set(columns)
    size = sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if chunk.path_in_schema in known or chunk.path_in_schema.partition(".")[0] in known
    )
    return size / group.num_rows if group.num_rows else 0.0
