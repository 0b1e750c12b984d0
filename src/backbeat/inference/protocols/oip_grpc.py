"""The Open Inference Protocol over gRPC: the same questions and tensors in protobuf's bytes.

Needs protobuf. https://github.com/kserve/open-inference-protocol,
specification/protocol/inference_grpc.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from backbeat.errors import InvalidStep
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Buffer, Request, Response
from backbeat.inference.protocol import Field, ModelInfo
from backbeat.inference.protocols.oip_json import BINARY
from backbeat.inference.protocols.oip_messages import MESSAGES, SERVICE, DecodeError
from backbeat.inference.protocols.oip_raw import from_raw, to_raw
from backbeat.inference.protocols.oip_tensors import TYPES, Tensor, unlike

__all__ = ["infer_request", "question", "read_answer", "read_metadata", "read_ready"]

_CUT = "look at what answers at this address, and at what cuts its answers"
# ModelInferRequest.raw_input_contents: field 7, with a length before it
_RAW = bytes([7 << 3 | 2])
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def question(verb: str, name: str, version: str) -> Request:
    """`ModelReady` or `ModelMetadata` of a model."""
    asked = MESSAGES[f"{verb}Request"](name=name, version=version)
    return _call(verb, [asked.SerializeToString()])


def infer_request(
    name: str, version: str, tensors: Sequence[Tensor], parameters: Mapping[str, Any]
) -> Request:
    """`ModelInfer` with its tensors as bytes, which are not copied.

    A fraction among the parameters reaches Triton alone: the messages of KServe and MLServer have
    no place for one.

    Raises:
        InvalidStep: A parameter is no text, number or boolean, or an integer of over 64 bits.
    """
    asked = MESSAGES["ModelInferRequest"](model_name=name, model_version=version)
    for key, value in parameters.items():
        kinds = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}
        try:
            setattr(asked.parameters[key], kinds[type(value)], value)
        except (KeyError, ValueError) as error:
            raise InvalidStep(
                f"The parameter {key!r} is a {type(value).__name__} that the protocol cannot hold.",
                hint="it takes text, numbers of 64 bits and booleans as a model's parameters",
            ) from error
    for tensor in tensors:
        asked.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    parts: list[Buffer] = [asked.SerializeToString()]
    for tensor in tensors:
        raw = to_raw(tensor)
        # messages one after the other are one message
        parts += [_RAW + _varint(len(raw)), raw]
    return _call("ModelInfer", parts)


def read_ready(endpoint: Endpoint, response: Response) -> bool:
    """Whether the model is ready; raises InvalidAnswer."""
    return bool(_read(endpoint, "ModelReadyResponse", response).ready)


def read_metadata(endpoint: Endpoint, response: Response) -> ModelInfo:
    """A model's metadata; raises InvalidAnswer."""
    found = _read(endpoint, "ModelMetadataResponse", response)
    inputs, outputs = (
        tuple(
            Field(name=field.name, datatype=field.datatype, shape=tuple(field.shape))
            for field in fields
        )
        for fields in (found.inputs, found.outputs)
    )
    return ModelInfo(
        name=found.name,
        version=found.versions[0] if len(found.versions) == 1 else "",
        inputs=inputs,
        outputs=outputs,
        extensions=frozenset({BINARY}),
    )


def read_answer(endpoint: Endpoint, response: Response) -> tuple[Any, list[Tensor]]:
    """An answer, and its outputs, whether they are bytes or values of their type.

    Raises:
        InvalidAnswer: It is cut, or its outputs are not as it says.
    """
    found = _read(endpoint, "ModelInferResponse", response)
    raw = found.raw_output_contents
    if not raw:
        return found, [_typed(endpoint, output) for output in found.outputs]
    if len(raw) != len(found.outputs):
        raise unlike(endpoint, f"has {len(found.outputs)} outputs and bytes of {len(raw)}", _CUT)
    return found, [
        from_raw(endpoint, output.name, output.datatype, tuple(output.shape), memoryview(part))
        for output, part in zip(found.outputs, raw, strict=True)
    ]


def _typed(endpoint: Endpoint, output: Any) -> Tensor:
    where = _CONTENTS.get(output.datatype)
    if where is None:
        raise unlike(
            endpoint,
            f"has no values of a known datatype for output {output.name!r} ({output.datatype})",
            f"let the model return one of {', '.join(_CONTENTS)}",
        )
    given, kind = getattr(output.contents, where), TYPES[output.datatype]
    try:
        if output.datatype == "BYTES":
            values = pa.array(list(given), kind)
        else:
            wide: Any = np.fromiter(given, _WIDE[where], len(given))
            values = pa.array(wide).cast(kind)
    except pa.ArrowInvalid as error:
        raise unlike(
            endpoint,
            f"has a value for output {output.name!r} that is no {output.datatype} ({error})",
            "look at what the model returns",
        ) from error
    return Tensor(output.name, output.datatype, tuple(output.shape), values)


_WIDE = {
    "bool_contents": np.bool_,
    "int_contents": np.int32,
    "int64_contents": np.int64,
    "uint_contents": np.uint32,
    "uint64_contents": np.uint64,
    "fp32_contents": np.float32,
    "fp64_contents": np.float64,
}


def _read(endpoint: Endpoint, name: str, response: Response) -> Any:
    try:
        return MESSAGES[name].FromString(bytes(response.body))
    except DecodeError as error:
        raise unlike(
            endpoint, f"has {len(response.body)} bytes that are no {name}", _CUT
        ) from error


def _call(verb: str, body: Sequence[Buffer]) -> Request:
    return Request(method="GRPC", url=SERVICE + verb, body=tuple(body))


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
