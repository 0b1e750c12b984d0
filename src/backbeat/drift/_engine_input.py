"""What can be profiled: everything that is turned into an Arrow dataset without copying rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from backbeat.errors import InvalidData

__all__ = ["as_dataset"]

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
}


def as_dataset(data: Any) -> ds.Dataset:
    """The rows as a dataset that can be read twice.

    Args:
        data: A pyarrow dataset, table or record batch, a pandas or polars frame or what else hands
            out an Arrow stream, a path (a file, a folder, an address that pyarrow knows) or a
            list of paths.

    Raises:
        InvalidData: It is none of these, can be read only once, or is not there.
    """
    if isinstance(data, ds.Dataset):
        return data
    if isinstance(data, (str, Path)):
        return _opened([data])
    if isinstance(data, Sequence) and data and all(isinstance(x, (str, Path)) for x in data):
        return _opened(data)
    if isinstance(data, pa.RecordBatchReader):
        raise InvalidData(
            "A record batch reader can be read only once, a profile may need two passes.",
            hint="pass the dataset or the table behind it (`reader.read_all()`)",
        )
    try:
        return ds.dataset(_table(data))
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InvalidData(
            f"This {type(data).__name__} has no table: {reason}.",
            hint="give every column one type, or pass an Arrow table or a path",
        ) from error


def _table(data: Any) -> pa.Table:
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if type(data).__module__.partition(".")[0] == "pandas":
        # the index is no column
        return pa.Table.from_pandas(data, preserve_index=False)
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    raise TypeError("it is no pyarrow dataset, table, data frame or path")


def _opened(paths: Sequence[str | Path]) -> ds.Dataset:
    known = {_format(str(path)) for path in paths} - {None}
    if len(known) > 1:
        raise InvalidData(
            f"The files are of different formats: {', '.join(sorted(map(str, known)))}.",
            hint="profile files of one format at a time",
        )
    found: Any = [str(path) for path in paths]
    try:
        return ds.dataset(found[0] if len(found) == 1 else found, format=known.pop())
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InvalidData(
            f"{paths[0]} cannot be opened: {reason}.",
            hint="check that the data has landed whole, as .parquet, .csv or .arrow",
        ) from error


def _format(path: str) -> str:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _FORMATS:
        return _FORMATS[suffix]
    folder = Path(path)
    if folder.is_dir():
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.suffix.lower() in _FORMATS:
                return _FORMATS[file.suffix.lower()]
    return "parquet"
