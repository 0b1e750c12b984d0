"""An answer in JSON as rows: read whole or not at all, one row for each that was asked about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from backbeat.errors import InvalidAnswer
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Response
from backbeat.inference.protocols.failures import said

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OUTPUT", "as_outputs", "member", "read_json"]

OUTPUT = "prediction"
"""Name of the one output of a model whose server does not name it."""


def read_json(endpoint: Endpoint, response: Response) -> Any:
    """The value of an answer's JSON.

    Raises:
        InvalidAnswer: It is of another type, cut, or nested beyond reading.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    # TorchServe says no type with a good answer
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise InvalidAnswer(
            f"{endpoint.authority} answered with {kind} instead of JSON: {said(response)}",
            hint="look at what stands before the server: a proxy or a login page may answer",
        )
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        pass
    try:
        # NaN is no JSON, and half of the servers write it
        return json.loads(bytes(response.body))
    except (RecursionError, ValueError) as error:
        raise InvalidAnswer(
            f"{endpoint.authority} answered with {len(response.body)} bytes that are no JSON "
            f"({error}): {said(response)}",
            hint="look at the server's log, and at what cuts answers between it and here",
        ) from error


def member(endpoint: Endpoint, value: Any, name: str) -> Any:
    """A member of an answer that is to be an object.

    Raises:
        InvalidAnswer: It is none, or has no such member.
    """
    if isinstance(value, Mapping) and name in value:
        return value[name]
    found = f"an object of {sorted(value)}" if isinstance(value, Mapping) else _sort(value)
    raise InvalidAnswer(
        f"{endpoint.authority} answered with {found[:200]} instead of an object with {name!r}.",
        hint="look whether the address names the right protocol",
    )


def as_outputs(endpoint: Endpoint, value: Any, rows: int) -> pa.RecordBatch:
    """Predictions as columns: a list of values, vectors or records, or an object of lists.

    Args:
        endpoint: Who answered.
        value: What it answered with.
        rows: How many rows it was asked about.

    Returns:
        A column for each name of the records or of the object; else one called `prediction`.

    Raises:
        InvalidAnswer: There are more or fewer rows, or they are not alike.
    """
    import pyarrow as pa

    if isinstance(value, Mapping) and all(isinstance(column, list) for column in value.values()):
        columns: Mapping[str, Sequence[Any]] = value
    elif isinstance(value, list):
        _counted(endpoint, value, rows)
        columns = _by_name(endpoint, value)
    else:
        raise InvalidAnswer(
            f"{endpoint.authority} answered with {_sort(value)} instead of a prediction a row.",
            hint="look whether the model answers batches: a list of one prediction a row",
        )
    for column in columns.values():
        _counted(endpoint, column, rows)
    if not columns:
        raise InvalidAnswer(
            f"{endpoint.authority} answered with rows that have no values.",
            hint="look at what the model returns",
        )
    return pa.record_batch(
        {name: _array(endpoint, name, column) for name, column in columns.items()}
    )


def _by_name(endpoint: Endpoint, records: list[Any]) -> dict[str, list[Any]]:
    if not records or not isinstance(records[0], Mapping):
        return {OUTPUT: records}
    names = records[0].keys()
    for number, record in enumerate(records):
        if not isinstance(record, Mapping) or record.keys() != names:
            raise InvalidAnswer(
                f"Row {number} of {endpoint.authority}'s answer has other members than the first.",
                hint="look at what the model returns: every row needs the same names",
            )
    return {name: [record[name] for record in records] for name in names}


def _array(endpoint: Endpoint, name: str, values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    try:
        return _fixed(pa.array(values))
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise InvalidAnswer(
            f"The output {name!r} of {endpoint.authority}'s answer is not of one type: "
            f"{str(error)[:200]}",
            hint="look at what the model returns",
        ) from error


def _fixed(array: pa.Array) -> pa.Array:
    """Lists of one length as a FixedSizeList; all nulls as numbers, as the next answer will be."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(array.type):
        return array.cast(pa.float64())
    if not pa.types.is_list(array.type) or array.null_count:
        return array
    lengths = pc.unique(pc.list_value_length(array)).to_pylist()
    if len(lengths) != 1 or lengths == [0]:
        return array
    return pa.FixedSizeListArray.from_arrays(_fixed(array.flatten()), lengths[0])


def _counted(endpoint: Endpoint, values: Sequence[Any], rows: int) -> None:
    if len(values) != rows:
        raise InvalidAnswer(
            f"{endpoint.authority} answered {rows} rows with {len(values)}.",
            hint="look whether the model answers batches: a list of one prediction a row",
        )


def _sort(value: Any) -> str:
    sorts = {
        dict: "an object",
        list: "a list",
        str: "a text",
        type(None): "null",
        bool: "a boolean",
    }
    return sorts.get(type(value), "a number")
