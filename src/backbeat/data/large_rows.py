"""Rows that hold images, sound or documents: a page of a file in memory, and no whole row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

__all__ = ["large_batches"]

_BUFFER = 2**20


def large_batches(
    data: ds.Dataset, columns: Sequence[str], *, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Stream rows in order, a few at a time.

    Arrow's scanner decodes a row group at once, which of images may be all of a file; a file read
    by itself is decoded page by page. Other files than Parquet go through the scanner.

    Args:
        data: An open dataset.
        columns: Those that are read.
        batch_rows: Rows of a batch at most.

    Returns:
        Batches of the dataset's own schema, its fields' metadata too.
    """
    import pyarrow as pa

    schema = pa.schema([data.schema.field(name) for name in columns])
    for fragment in data.get_fragments():
        whole = _parquet(fragment, columns)
        if whole is None:
            yield from fragment.to_batches(
                schema=data.schema,
                columns=list(columns),
                batch_size=batch_rows,
                batch_readahead=0,
                fragment_readahead=0,
                use_threads=False,
            )
            continue
        for batch in whole.iter_batches(
            batch_size=batch_rows, columns=list(columns), use_threads=False
        ):
            values = [batch.column(field.name).cast(field.type) for field in schema]
            yield pa.RecordBatch.from_arrays(values, schema=schema)


def _parquet(fragment: Any, columns: Sequence[str]) -> Any:
    """A fragment's file, where all that is asked for, and nothing else, is in it."""
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    if not isinstance(fragment, ds.ParquetFileFragment):
        return None
    there = set(fragment.physical_schema.names)
    part = fragment.num_row_groups != fragment.metadata.num_row_groups
    if part or not there.issuperset(columns):
        return None
    return pq.ParquetFile(fragment.open(), buffer_size=_BUFFER, pre_buffer=False)
