"""A tensor's values as plain bytes: the form that binary REST and gRPC have in common.

Numbers lie one after the other, little-endian; a boolean is a byte; what is BYTES has its length
before it, in four bytes. https://github.com/kserve/open-inference-protocol,
specification/protocol/inference_rest.md and inference_grpc.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backbeat.errors import ContractBroken
from backbeat.inference.address import Endpoint
from backbeat.inference.protocols.oip_tensors import (
    TYPES,
    Tensor,
    numpy_type,
    plain_array,
    unlike,
)

__all__ = ["from_raw", "to_raw"]

_LENGTH = struct.Struct("<I")
_LONGEST = 2**32 - 1
_CUT = "look at what cuts answers between the server and here"


def to_raw(tensor: Tensor) -> memoryview:
    """The bytes of a tensor's values, which are Arrow's own wherever their layouts agree."""
    values = tensor.values
    if tensor.datatype == "BYTES":
        return _prefixed(tensor.name, values)
    # Arrow packs booleans in bits
    whole = values.to_numpy(zero_copy_only=tensor.datatype != "BOOL")
    # a memoryview of no values cannot be cast
    return (
        memoryview(whole.astype(whole.dtype.newbyteorder("<"), copy=False).view(np.uint8)).cast("B")
        if len(whole)
        else memoryview(b"")
    )


def from_raw(
    endpoint: Endpoint, name: str, datatype: str, shape: Sequence[int], raw: memoryview
) -> Tensor:
    """A tensor of an answer by its bytes.

    Args:
        endpoint: Who answered.
        name: The output.
        datatype: What the answer says it is.
        shape: The same.
        raw: All of its bytes.

    Raises:
        InvalidAnswer: The datatype is not known, or there are more or fewer bytes than it says.
    """
    count = math.prod(shape)
    if datatype not in TYPES or any(size < 0 for size in shape):
        raise unlike(
            endpoint,
            f"says that output {name!r} is of {datatype} {list(shape)}",
            f"let the model return one of {', '.join(TYPES)}",
        )
    if datatype == "BYTES":
        return Tensor(name, datatype, tuple(shape), _split(endpoint, name, count, raw))
    dtype = numpy_type(datatype).newbyteorder("<")
    if len(raw) != count * dtype.itemsize:
        raise unlike(
            endpoint,
            f"has {len(raw)} bytes for output {name!r} of {datatype} {list(shape)}, "
            f"which takes {count * dtype.itemsize}",
            _CUT,
        )
    if datatype == "BOOL":
        values = pa.array(np.frombuffer(raw, np.uint8) != 0)
    else:
        # a copy of its own, aligned as Arrow wants it, and without the answer around it
        values = plain_array(np.frombuffer(raw, dtype).astype(dtype.newbyteorder("=")))
    return Tensor(name, datatype, tuple(shape), values)


def _prefixed(name: str, values: pa.Array) -> memoryview:
    lengths = pc.binary_length(values)
    longest = pc.max(lengths).as_py() or 0
    if longest > _LONGEST:
        raise ContractBroken(
            f"Column {name!r} holds a value of {longest} bytes; a tensor's take {_LONGEST}.",
            hint="send a smaller document",
        )
    prefixes = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(4),
        len(values),
        [None, pa.py_buffer(lengths.to_numpy().astype("<u4"))],
    ).cast(pa.large_binary())
    separator = pa.scalar(b"", pa.large_binary())
    joined = pc.binary_join_element_wise(prefixes, values, separator)
    _, _, joined_bytes = joined.buffers()
    # Arrow may have room to spare at the end
    total = int(pc.sum(lengths).as_py() or 0) + 4 * len(values)
    return memoryview(joined_bytes)[:total] if total else memoryview(b"")


def _split(endpoint: Endpoint, name: str, count: int, raw: memoryview) -> pa.Array:
    # where a value begins is known only when the one before it has been read
    found: list[memoryview] = []
    place, end = 0, len(raw)
    while place < end and len(found) < count:
        start = place + _LENGTH.size
        place = start + _LENGTH.unpack_from(raw, place)[0] if start <= end else end + 1
        if place > end:
            break
        found.append(raw[start:place])
    if place != end or len(found) != count:
        raise unlike(
            endpoint,
            f"has {end} bytes for output {name!r}, which are not the {count} values that it says",
            _CUT,
        )
    return pa.array(found, TYPES["BYTES"])
