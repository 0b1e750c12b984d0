"""The Open Inference Protocol over REST in JSON: metadata, a request and an answer.

https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from backbeat.errors import ContractBroken, InvalidStep
from backbeat.inference.address import Endpoint
from backbeat.inference.protocol import Field, ModelInfo
from backbeat.inference.protocols.json_answers import member
from backbeat.inference.protocols.oip_tensors import TYPES, Tensor, numpy_type, plain_array, unlike

__all__ = ["BINARY", "head", "json_data", "read_fields", "read_metadata", "read_tensor"]

BINARY = "binary_tensor_data"
"""The name of the extension that sends tensors as bytes."""

_MODEL = "look at what the model returns"
# KServe and MLServer write NaN as null, because JSON has no word for it
_FLOATS = {int, float, type(None)}
_EXACT = {"BOOL": bool, "BYTES": str}
_BYTES = "write ?binary=yes in the address where the server reads it, or use gRPC"


def read_metadata(endpoint: Endpoint, found: Any) -> ModelInfo:
    """A model's metadata.

    Whether the server reads binary requests is for `GET /v2` to say, which is not what was asked.
    Triton, which does, says the model's platform, and knows no `parameters`; MLServer, which does
    not, does so the other way round.

    Raises:
        InvalidAnswer: It is no such metadata.
    """
    name = str(member(endpoint, found, "name"))
    # KServe writes null for what it does not say
    versions = found.get("versions") or []
    if not isinstance(versions, list):
        raise unlike(endpoint, "has versions that are no list", "look at what answers there")
    triton = bool(found.get("platform")) and "parameters" not in found
    return ModelInfo(
        name=name,
        version=str(versions[0]) if len(versions) == 1 else "",
        inputs=read_fields(endpoint, found.get("inputs")),
        outputs=read_fields(endpoint, found.get("outputs")),
        extensions=frozenset({BINARY} if triton else ()),
    )


def read_fields(endpoint: Endpoint, declared: Any) -> tuple[Field, ...]:
    """What a model takes or gives; raises InvalidAnswer."""
    try:
        return tuple(
            Field(
                name=str(field["name"]),
                datatype=str(field["datatype"]),
                shape=tuple(map(int, field["shape"])),
            )
            for field in declared or ()
        )
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise unlike(
            endpoint,
            f"does not describe the model as the protocol does ({type(error).__name__}: {error})",
            "look at what the server declares as the model's inputs and outputs",
        ) from error


def head(
    tensors: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any], *, binary: bool
) -> bytes:
    """A request's JSON.

    Args:
        tensors: Its inputs as JSON objects.
        parameters: The model's own.
        binary: Whether its outputs are wanted as bytes.

    Raises:
        InvalidStep: A parameter is no text, number or boolean.
        ContractBroken: A value is NaN or infinite, for which JSON has no word.
    """
    for name, value in parameters.items():
        if not isinstance(value, str | bool | int | float):
            raise InvalidStep(
                f"The parameter {name!r} is a {type(value).__name__}.",
                hint="the protocol takes text, numbers and booleans as a model's parameters",
            )
        # it would be written as null
        if isinstance(value, float) and not math.isfinite(value):
            raise ContractBroken(
                "A parameter is NaN or infinite, for which JSON has no word.",
                hint="leave it out, or give a number",
            )
    asked = {**parameters, **({"binary_data_output": True} if binary else {})}
    body = {**({"parameters": asked} if asked else {}), "inputs": tensors}
    try:
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise InvalidStep(
            f"A parameter cannot be written as JSON ({error}).",
            hint="integers have 64 bits at most, and text is Unicode",
        ) from error


def json_data(tensor: Tensor) -> dict[str, Any]:
    """A tensor as a JSON object.

    Raises:
        ContractBroken: A value is NaN or infinite, or bytes that are no text.
    """
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.shape,
        "data": _sayable(tensor),
    }


def read_tensor(endpoint: Endpoint, output: Mapping[str, Any]) -> Tensor:
    """A tensor of an answer; numbers may lie there in lists of lists, as they do with MLServer.

    Raises:
        InvalidAnswer: A value is not of the datatype, or the datatype is not known.
    """
    (field,) = read_fields(endpoint, [output])
    data = output.get("data")
    if field.datatype not in TYPES or not isinstance(data, list):
        raise unlike(
            endpoint,
            f"has no values of a known datatype for output {field.name!r} ({field.datatype})",
            f"let the model return one of {', '.join(TYPES)}",
        )
    try:
        values = _values(field.datatype, _flat(data))
    except (pa.ArrowException, ArithmeticError, TypeError, ValueError) as error:
        raise unlike(
            endpoint,
            f"has a value for output {field.name!r} that is no {field.datatype} "
            f"({str(error)[:200]})",
            _MODEL,
        ) from error
    return Tensor(field.name, field.datatype, field.shape, values)


def _flat(data: list[Any]) -> list[Any]:
    while data and isinstance(data[0], list):
        if not all(isinstance(inner, list) for inner in data):
            raise ValueError("lists beside values")
        data = list(chain.from_iterable(data))
    return data


def _values(datatype: str, data: list[Any]) -> pa.Array:
    kind = TYPES[datatype]
    number = pa.types.is_floating(kind)
    odd = set(map(type, data)) - (_FLOATS if number else {_EXACT.get(datatype, int)})
    if odd:
        raise TypeError(", ".join(sorted(found.__name__ for found in odd)))
    if not number:
        return pa.array(data, pa.string() if datatype == "BYTES" else kind).cast(kind)
    # numpy reads null as NaN
    values = np.array(data, np.float64)
    if datatype == "FP64":
        return plain_array(values)
    with np.errstate(over="raise"):
        return pa.array(values.astype(numpy_type(datatype), copy=False), kind)


def _sayable(tensor: Tensor) -> list[Any] | np.ndarray[Any, Any]:
    values = tensor.values
    if tensor.datatype == "BYTES":
        try:
            texts: list[Any] = values.cast(pa.large_string()).to_pylist()
        except pa.ArrowInvalid as error:
            raise ContractBroken(
                f"Column {tensor.name!r} holds bytes that are no UTF-8, for which JSON has no "
                "word.",
                hint=_BYTES,
            ) from error
        return texts
    numbers: np.ndarray[Any, Any] = values.to_numpy(zero_copy_only=False)
    if numbers.dtype.kind == "f" and not (finite := np.isfinite(numbers)).all():
        per_row = max(len(values) // max(tensor.shape[0], 1), 1)
        row, place = divmod(int(finite.argmin()), per_row)
        which = f", value {place + 1} of {per_row}" if per_row > 1 else ""
        raise ContractBroken(
            f"Column {tensor.name!r} holds NaN or an infinity in row {row}{which}, for which JSON "
            "has no word.",
            hint=f"{_BYTES}; or fill it in",
        )
    return numbers
