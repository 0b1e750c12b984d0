"""Images, sound and documents among the rows of a request: refused where their bytes are others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backbeat.contract.media import contradicted, is_binary, media_type_of, recognised
from backbeat.errors import InvalidData

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["fingerprints", "media_columns", "other_rows", "require_media"]


def media_columns(schema: pa.Schema) -> list[str]:
    """Names of the columns that hold images, sound or documents: binary, with a media type."""
    return [field.name for field in schema if is_binary(field.type) and media_type_of(field)]


def require_media(rows: pa.RecordBatch | pa.Table) -> None:
    """Refuse rows with a value that is not of its column's media type, before they are sent.

    Raises:
        InvalidData: The first bytes of a value are another type's, or nobody's; or a column that
            has a media type holds no bytes. A retry will not help.
    """
    import pyarrow.compute as pc

    for field, column in zip(rows.schema, rows.columns, strict=True):
        media_type = media_type_of(field)
        if not media_type:
            continue
        if not is_binary(field.type):
            raise InvalidData(
                f"Column {field.name!r} is said to hold {media_type}, and is {field.type}.",
                hint="give the bytes themselves, as a binary column",
            )
        start = 0
        for chunk in getattr(column, "chunks", [column]):
            at = pc.index(contradicted(chunk, media_type), value=True).as_py()
            if at >= 0:
                raise _other(field.name, media_type, start + at, chunk[at].as_py())
            start += len(chunk)


def other_rows(rows: pa.Table) -> list[int]:
    """The rows, in order, that `require_media` would refuse for a value in them."""
    found: set[int] = set()
    for name in media_columns(rows.schema):
        start, media_type = 0, media_type_of(rows.schema.field(name))
        for chunk in rows.column(name).chunks:
            mask = contradicted(chunk, media_type)
            found |= {start + at for at, other in enumerate(mask.to_pylist()) if other}
            start += len(chunk)
    return sorted(found)


def fingerprints(rows: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> dict[str, pa.Array]:
    """What is kept of images, sound and documents where they are too much to be copied.

    Args:
        rows: The rows.
        columns: Which of their columns to look for media in.

    Returns:
        For each column of media, `<name>_sha256` (`sha256:<hex>`) and `<name>_bytes`, null where
        the value is.
    """
    import pyarrow as pa

    found: dict[str, pa.Array] = {}
    media = media_columns(rows.schema)
    for name in columns:
        if name in media:
            values = rows.column(name).to_pylist()
            found[f"{name}_sha256"] = pa.array([_digest(value) for value in values], pa.string())
            found[f"{name}_bytes"] = pa.array(
                [None if value is None else len(value) for value in values], pa.int64()
            )
    return found


def _digest(value: bytes | None) -> str | None:
    return None if value is None else "sha256:" + hashlib.sha256(value).hexdigest()


def _other(name: str, media_type: str, row: int, value: Any) -> InvalidData:
    there = recognised(value)
    return InvalidData(
        f"Column {name!r} is to hold {media_type}, and in row {row} are {len(value)} bytes that "
        + (f"begin as {there}." if there else f"do not begin as {media_type}."),
        hint="repair the value, or correct the field's `media_type`",
    )
