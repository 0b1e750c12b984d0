"""Tabular files: opened as one dataset, checked, and pinned by their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from backbeat.canonical import digest
from backbeat.errors import ContractBroken, InvalidData, StorageFull
from backbeat.ports import Store, StoredFile
from backbeat.reference import DataRef, Dataset

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

__all__ = ["open_dataset", "pinned_digest", "reading", "references", "require_columns"]

_SUFFIXES = {".parquet", ".csv"}
_READ_WHOLE = 64 * 2**20
_FOOTER = 64 * 2**10
_CHUNK = 2**20


def references(store: Store, dataset: Dataset) -> tuple[DataRef, ...]:
    """Resolve a floating reference to the files that exist now, each with its digest.

    Raises:
        InvalidData: A file is missing (or all are, with `missing="skip"`). A retry helps once the
            file has landed.
    """
    days = dataset.days_covered()
    found: list[DataRef] = []
    absent: list[str] = []
    for index, uri in enumerate(dataset.uris()):
        there = store.files(uri)
        if not there:
            absent.append(uri)
            continue
        partition = days[index].isoformat() if days else None
        filesystem = store.filesystem(uri)
        found.extend(
            DataRef(
                uri=file.uri,
                digest=_digest(filesystem, file),
                format=_format(file.path),
                partition=partition,
            )
            for file in there
            if file.uri == uri or _is_table(file.uri.removeprefix(uri).strip("/"))
        )
    if absent == [dataset.uri] and PurePosixPath(dataset.uri).suffix not in _SUFFIXES:
        raise InvalidData(
            f"{dataset.uri} is missing or an empty folder", hint="check that data has landed"
        )
    if absent and (dataset.missing == "refuse" or not found):
        raise InvalidData(
            f"{len(absent)} of {len(dataset.uris())} files are missing, the first is {absent[0]}",
            hint="check that the data has landed, or set missing='skip' to use what is there",
        )
    if not found:
        raise InvalidData(
            f"{dataset.uri} has no .parquet or .csv file", hint="check that data has landed"
        )
    return tuple(found)


def pinned_digest(refs: Iterable[DataRef]) -> str:
    """One digest over resolved files, `sha256:<hex>`: the same files are the same work."""
    return digest([[ref.uri, ref.digest] for ref in refs])


def open_dataset(store: Store, refs: Iterable[DataRef]) -> ds.Dataset:
    """Open resolved files as one dataset; every file must have the first one's columns.

    Raises:
        InvalidData: A file is empty, truncated or of another format.
        ContractBroken: A file's columns or types differ from the first file's.
    """
    import pyarrow.dataset as ds

    refs = tuple(refs)
    parts = [_open(store, ref) for ref in refs]
    first = parts[0].schema
    for ref, part in zip(refs, parts, strict=True):
        differences = _differences(first, part.schema)
        if differences:
            raise ContractBroken(
                f"{ref.uri} does not have the columns of {refs[0].uri}: {'; '.join(differences)}",
                hint="repair the file, or start the window after the change",
            )
    return ds.dataset([part.replace_schema(first) for part in parts])


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Read rows in a block: a sound footer does not mean that the pages before it are sound.

    Args:
        what: What the data is, for the message, e.g. `labels`.

    Raises:
        InvalidData: A page is damaged, or the file is gone.
        StorageFull: The disk failed; a retry can help.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, FileNotFoundError):
            raise StorageFull(
                f"reading the {what} failed: {error}", hint="check the disk or share"
            ) from error
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InvalidData(
            f"the {what} cannot be read to the end: {reason}",
            hint="a file is damaged or gone; land it again",
        ) from error


def require_columns(data: ds.Dataset, columns: Iterable[str], *, what: str) -> None:
    """Refuse data that lacks a column, naming those that look like it.

    Args:
        data: An open dataset.
        columns: Names that must be there.
        what: What the data is, for the message, e.g. `labels`.

    Raises:
        ContractBroken: A column is missing or renamed.
    """
    import difflib

    there = data.schema.names
    missing = [name for name in columns if name not in there]
    if missing:
        near = difflib.get_close_matches(missing[0], there, n=3, cutoff=0.5)
        raise ContractBroken(
            f"the {what} lack the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"there are {', '.join(there)}",
            hint=f"did you mean {' or '.join(near)}?" if near else "check the producer's schema",
        )


def _is_table(below: str) -> bool:
    """Whether a file of a folder is data: not hidden, nor what a writer keeps for itself."""
    path = PurePosixPath(below)
    hidden = any(part.startswith(("_", ".")) for part in path.parts)
    return path.suffix in _SUFFIXES and not hidden


def _format(path: str) -> Any:
    name = PurePosixPath(path)
    if name.suffix not in _SUFFIXES:
        raise InvalidData(
            f"{name.name} is neither .parquet nor .csv", hint="name the file by its format"
        )
    return name.suffix.removeprefix(".")


def _open(store: Store, ref: DataRef) -> ds.Dataset:
    import pyarrow as pa
    import pyarrow.dataset as ds

    again = "land the file again"
    there = store.files(ref.uri)
    if not there:
        raise InvalidData(f"{ref.uri} is gone", hint=again)
    if there[0].size == 0:
        raise InvalidData(f"{ref.uri} is empty (0 bytes)", hint=again)
    try:
        return ds.dataset(there[0].path, format=ref.format, filesystem=store.filesystem(ref.uri))
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).partition(". Is this")[0].partition("\n")[0]
        raise InvalidData(
            f"{ref.uri} is not a whole {ref.format} file: {reason}",
            hint="the file is truncated or of another format; land it again",
        ) from error


def _differences(expected: pa.Schema, actual: pa.Schema) -> list[str]:
    wanted = {field.name: field.type for field in expected}
    got = {field.name: field.type for field in actual}
    return [
        *(f"column {name} is missing" for name in wanted if name not in got),
        *(f"column {name} is new" for name in got if name not in wanted),
        *(
            f"column {name} is {got[name]} instead of {kind}"
            for name, kind in wanted.items()
            if name in got and got[name] != kind
        ),
    ]


def _digest(filesystem: Any, file: StoredFile) -> str:
    if file.version is not None:
        return f"etag:{file.version}"
    hasher = hashlib.sha256()
    with filesystem.open_input_file(file.path) as opened:
        if file.size <= _READ_WHOLE:
            while chunk := opened.read(_CHUNK):
                hasher.update(chunk)
            return f"sha256:{hasher.hexdigest()}"
        # a table too large to read twice: size, time and footer tell one version from another
        opened.seek(file.size - _FOOTER)
        changed = filesystem.get_file_info(file.path).mtime_ns
        hasher.update(f"{file.size}:{changed}:".encode() + opened.read())
    return f"stat:{hasher.hexdigest()}"
