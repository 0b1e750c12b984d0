"""A table cut into shards whose keys depend on nothing but what is scored, with what, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backbeat.canonical import digest
from backbeat.contract.media import is_binary
from backbeat.data import reading
from backbeat.data.large_rows import large_batches
from backbeat.errors import Conflict, InvalidStep

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

__all__ = ["Shard", "plan", "shard_key", "slices"]

_READ_ROWS = 2**16
_LARGE_ROWS = 2**6


@dataclass(frozen=True)
class Shard:
    """Consecutive rows of the input.

    Args:
        index: Counted from 0.
        start: First row.
        stop: The row behind the last.
    """

    index: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start


def plan(rows: int, shard_rows: int) -> tuple[Shard, ...]:
    """Cut rows into shards, all of the same size but the last.

    A table without rows is one shard without rows, so that its output has columns and a file.

    Args:
        rows: Rows of the input.
        shard_rows: Rows of a shard, at least 1.

    Raises:
        InvalidStep: `shard_rows` is less than 1.
    """
    if shard_rows < 1:
        raise InvalidStep(f"A shard of {shard_rows} rows is none.", hint="set shard_rows above 0")
    starts = range(0, max(rows, 1), shard_rows)
    return tuple(
        Shard(index, start, min(start + shard_rows, rows)) for index, start in enumerate(starts)
    )


def shard_key(
    shard: Shard, *, input_digest: str, model_version: str, parameters: Mapping[str, Any]
) -> str:
    """`sha256:<hex>` that names a shard's scores: the same key, the same rows, the same model.

    Args:
        shard: Which rows.
        input_digest: Digest of the whole input.
        model_version: `models:/<name>/<version>`.
        parameters: JSON of all else that the scores or their file depend on.
    """
    return digest(
        {
            "input": input_digest,
            "model": model_version,
            "parameters": dict(parameters),
            "shard": [shard.index, shard.start, shard.stop],
        }
    )


def slices(
    data: ds.Dataset, shards: Sequence[Shard], columns: Sequence[str]
) -> Iterator[tuple[Shard, pa.Table]]:
    """Stream the rows of each shard, in the input's order, holding about one shard in memory.

    Raises:
        Conflict: The input has fewer or more rows than were planned: it changed meanwhile.
    """
    import pyarrow as pa

    if shards[0].rows == 0:
        schema = pa.schema([data.schema.field(name) for name in columns])
        yield shards[0], schema.empty_table()
        return
    waiting = iter(shards)
    shard = next(waiting, None)
    held: list[pa.RecordBatch] = []
    held_rows = 0
    for batch in _batches(data, shards, columns):
        rest = batch
        while rest.num_rows:
            if shard is None:
                raise _changed(shards)
            taken = rest.slice(0, shard.rows - held_rows)
            rest = rest.slice(taken.num_rows)
            held.append(taken)
            held_rows += taken.num_rows
            if held_rows == shard.rows:
                yield shard, pa.Table.from_batches(held)
                shard, held, held_rows = next(waiting, None), [], 0
    if shard is not None:
        raise _changed(shards)


def _batches(
    data: ds.Dataset, shards: Sequence[Shard], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    if any(is_binary(data.schema.field(name).type) for name in columns):
        batches = large_batches(data, columns, batch_rows=min(_LARGE_ROWS, shards[0].rows))
    else:
        batches = data.to_batches(
            columns=list(columns),
            batch_size=min(_READ_ROWS, shards[0].rows),
            batch_readahead=2,
            fragment_readahead=1,
            # the scanner's threads decode whole row groups ahead, however slowly they are taken
            use_threads=False,
            **_parquet_options(data),
        )
    while True:
        # only the reading: what the consumer raises between two batches is its own
        with reading("data to score"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _parquet_options(data: ds.Dataset) -> dict[str, Any]:
    import pyarrow.dataset as ds

    parts = getattr(data, "children", None) or [data]
    if not all(isinstance(getattr(part, "format", None), ds.ParquetFileFormat) for part in parts):
        return {}
    # pre-buffering would hold the whole file
    return {"fragment_scan_options": ds.ParquetFragmentScanOptions(pre_buffer=False)}


def _changed(shards: Sequence[Shard]) -> Conflict:
    return Conflict(
        f"The input no longer has the {shards[-1].stop} rows that it had when it was counted.",
        hint="let its producer finish, then run again",
    )
