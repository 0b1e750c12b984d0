"""Rows as JSON: whole columns become lists at once, and what JSON has no word for is refused."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from backbeat.contract.media import is_binary
from backbeat.errors import ContractBroken
from backbeat.inference.message import Request

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["as_lists", "as_records", "as_table", "json_request"]

_HEADERS = {"accept": "application/json", "content-type": "application/json"}


def as_lists(rows: pa.RecordBatch) -> list[Any]:
    """A list of values a row; where one column of lists or of bytes is all there is, its values.

    Raises:
        ContractBroken: A column's type has no form in JSON.
    """
    if rows.num_columns == 1 and (_is_list(kind := rows.schema.field(0).type) or is_binary(kind)):
        return _values(rows.column(0), rows.schema.names[0])
    return as_table(rows)


def as_table(rows: pa.RecordBatch, *, text_of_bytes: bool = False) -> list[list[Any]]:
    """A list of values a row, whatever they are.

    Args:
        rows: The rows.
        text_of_bytes: Whether bytes are the bare text of their base64, not `{"b64": ...}`.

    Raises:
        ContractBroken: A column's type has no form in JSON.
    """
    columns = _columns(rows)
    if text_of_bytes:
        columns = [
            [value and value["b64"] for value in column] if is_binary(field.type) else column
            for column, field in zip(columns, rows.schema, strict=True)
        ]
    return [list(row) for row in zip(*columns, strict=True)]


def as_records(rows: pa.RecordBatch) -> list[dict[str, Any]]:
    """A dict of values by their column's name, a row.

    Raises:
        ContractBroken: A column's type has no form in JSON, or two have the same name.
    """
    names = rows.schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ContractBroken(
            f"More than one column is called {', '.join(twice)}.",
            hint="give every column a name of its own",
        )
    return [dict(zip(names, row, strict=True)) for row in zip(*_columns(rows), strict=True)]


def json_request(url: str, value: Any, rows: pa.RecordBatch) -> Request:
    """A request whose body is JSON.

    Args:
        url: Where it goes.
        value: What is sent.
        rows: What it was made of, to say which row cannot be sent.

    Raises:
        ContractBroken: A value is NaN or infinite, or its type has no form in JSON.
    """
    try:
        # as it is: escaped, a letter of most of the world's scripts takes six bytes
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        body = text.encode()
    except (TypeError, ValueError) as error:
        raise _unsayable(rows, error) from error
    return Request(method="POST", url=url, headers=_HEADERS, body=(body,))


def _columns(rows: pa.RecordBatch) -> list[list[Any]]:
    return [
        _values(column, field.name) for column, field in zip(rows.columns, rows.schema, strict=True)
    ]


def _values(column: pa.Array, name: str) -> list[Any]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _values(column.dictionary_decode(), name)
    if pa.types.is_fixed_size_list(kind) and column.null_count == 0:
        flat, size = _values(column.flatten(), name), kind.list_size
        return [flat[row * size : (row + 1) * size] for row in range(len(column))]
    if is_binary(kind):
        return [
            None if value is None else {"b64": b64encode(value).decode()}
            for value in column.to_pylist()
        ]
    if not _is_plain(kind):
        raise ContractBroken(
            f"Column {name!r} is of type {kind}, which has no form in JSON.",
            hint="cast it to a number or to text in the preparation of the rows",
        )
    plain = _as_text(column) if pa.types.is_temporal(kind) else column
    # numpy makes Python's numbers many times faster than Arrow, but has no nulls
    by_numpy = pa.types.is_primitive(plain.type) and not plain.null_count
    listed: list[Any] = (
        plain.to_numpy(zero_copy_only=False).tolist() if by_numpy else plain.to_pylist()
    )
    return listed


def _as_text(moments: pa.Array) -> pa.Array:
    """Dates and times as RFC 3339 has them, with as many digits as their unit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = moments.type
    if pa.types.is_date(kind):
        return moments.cast(pa.date32()).cast(pa.string())
    if kind.tz is None:
        return pc.strftime(moments, format="%Y-%m-%dT%H:%M:%S")
    universal = moments.cast(pa.timestamp(kind.unit, "UTC"))
    return pc.strftime(universal, format="%Y-%m-%dT%H:%M:%SZ")


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return _is_list(kind) or any(
        test(kind)
        for test in (
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_boolean,
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_date,
            pa.types.is_timestamp,
            pa.types.is_struct,
            pa.types.is_null,
        )
    )


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return any(
        test(kind)
        for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    )


def _unsayable(rows: pa.RecordBatch, error: Exception) -> ContractBroken:
    for number, row in enumerate(rows.to_pylist()):
        for name, value in row.items():
            try:
                # other types have been seen to above, or are said below
                json.dumps(value, allow_nan=False, default=str)
            except ValueError:
                return ContractBroken(
                    f"Column {name!r} holds NaN or an infinity in row {number}, for which JSON "
                    "has no word.",
                    hint="fill it in, or make it null where the model takes nulls",
                )
    return ContractBroken(
        f"The rows or the parameters cannot be written as JSON: {error}.",
        hint="keep to numbers, text, booleans and lists of them",
    )
