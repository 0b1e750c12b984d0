"""Tensors of the Open Inference Protocol: what they are, and what an answer's are as columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from backbeat.errors import InvalidAnswer
from backbeat.inference.address import Endpoint
from backbeat.inference.protocol import Field

__all__ = ["TYPES", "Tensor", "as_columns", "datatype_of", "numpy_type", "plain_array", "unlike"]

TYPES: dict[str, pa.DataType] = {
    "BOOL": pa.bool_(),
    "INT8": pa.int8(),
    "INT16": pa.int16(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "UINT8": pa.uint8(),
    "UINT16": pa.uint16(),
    "UINT32": pa.uint32(),
    "UINT64": pa.uint64(),
    "FP16": pa.float16(),
    "FP32": pa.float32(),
    "FP64": pa.float64(),
    "BYTES": pa.large_binary(),
}
"""The protocol's datatypes; one that is not here (`BF16`) cannot be sent or read."""

_DATATYPES = {kind: name for name, kind in TYPES.items()}
_MOST_VALUES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor: values one after the other in row-major order, and its shape.

    Args:
        name: As the model calls it.
        datatype: One of `TYPES`.
        shape: Its first size is the number of rows.
        values: Without nulls, of the datatype's Arrow type.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: pa.Array


def datatype_of(kind: pa.DataType) -> str:
    """The datatype that an Arrow type is without any cast; empty where there is none."""
    if (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    ):
        return "BYTES"
    return _DATATYPES.get(kind, "")


def numpy_type(datatype: str) -> np.dtype:
    """The type of a datatype's numbers; pyarrow 18 would import pandas to say it."""
    return np.dtype(datatype.lower().replace("fp", "float"))


def plain_array(values: np.ndarray[Any, Any]) -> pa.Array:
    """Numbers as an Arrow array, without a copy.

    `pa.array` does the same but lets go of the interpreter's lock, and waits to get it back from
    whichever thread has taken it.

    Args:
        values: One dimension, contiguous, of the machine's byte order; they must not change.
    """
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def as_columns(
    endpoint: Endpoint, declared: Sequence[Field], tensors: Sequence[Tensor], rows: int
) -> pa.RecordBatch:
    """An answer's tensors as columns.

    Args:
        endpoint: Who answered.
        declared: The model's outputs as its server describes them.
        tensors: The answer's.
        rows: How many rows the model was asked about.

    Returns:
        A column for each tensor. `[rows]` is a column of numbers, and so is `[rows, 1]` unless
        the size that is 1 here is declared to vary; `[rows, k]` is a FixedSizeList; BYTES is text
        where all of it is UTF-8.

    Raises:
        InvalidAnswer: There is no tensor, two have one name, or a shape is not of as many rows or
            values.
    """
    names = [tensor.name for tensor in tensors]
    if not tensors or len(set(names)) != len(names):
        raise unlike(endpoint, f"has the outputs {names}", "each needs a name of its own")
    varies = {field.name for field in declared if field.shape[1:] == (-1,)}
    columns = {}
    for tensor in tensors:
        if tensor.shape[:1] != (rows,):
            raise unlike(
                endpoint,
                f"gives output {tensor.name!r} the shape {list(tensor.shape)} for {rows} rows",
                "the first size of every output is to be the number of rows",
            )
        if math.prod(tensor.shape) != len(tensor.values) or not _fair(tensor.shape):
            raise unlike(
                endpoint,
                f"gives output {tensor.name!r} the shape {list(tensor.shape)} and "
                f"{len(tensor.values)} values",
                "look at what the model returns",
            )
        sizes = tensor.shape[1:]
        columns[tensor.name] = _column(
            tensor.values, rows, () if sizes == (1,) and tensor.name not in varies else sizes
        )
    return pa.record_batch(columns)


def unlike(endpoint: Endpoint, what: str, hint: str) -> InvalidAnswer:
    """What is said of an answer that is not as the protocol promises."""
    return InvalidAnswer(f"The answer of {endpoint.authority} {what}.", hint=hint)


def _fair(shape: tuple[int, ...]) -> bool:
    # a size of 0 would hide any other
    return min(shape) > 0 or (
        min(shape) == 0 and math.prod(max(size, 1) for size in shape) <= _MOST_VALUES
    )


def _column(values: pa.Array, rows: int, sizes: tuple[int, ...]) -> pa.Array:
    column = _text(values) if pa.types.is_large_binary(values.type) else values
    for place in reversed(range(len(sizes))):
        kind = pa.list_(column.type, sizes[place])
        # with its length, which nothing tells where a size is 0
        length = rows * math.prod(sizes[:place])
        column = pa.Array.from_buffers(kind, length, [None], children=[column])
    return column


def _text(values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return values.cast(pa.binary())
