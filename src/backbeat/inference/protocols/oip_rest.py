"""A request and an answer over REST, in JSON or with the tensors as bytes behind it.

The binary tensor data extension puts JSON first, and its length into a header; after it lie the
tensors, one after the other.
https://github.com/kserve/open-inference-protocol, specification/protocol/extension_binary_data.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from backbeat.inference.address import Endpoint
from backbeat.inference.message import Request, Response
from backbeat.inference.protocols.json_answers import member, read_json
from backbeat.inference.protocols.oip_json import head, json_data, read_fields, read_tensor
from backbeat.inference.protocols.oip_raw import from_raw, to_raw
from backbeat.inference.protocols.oip_tensors import Tensor, unlike

__all__ = ["binary_request", "json_request", "read_answer"]

_HEADER = "inference-header-content-length"
_SIZE = "binary_data_size"
_LENGTH = re.compile(r"[0-9]{1,18}")
_CUT = "look at what cuts answers, or their headers, between the server and here"


def json_request(url: str, tensors: Sequence[Tensor], parameters: Mapping[str, Any]) -> Request:
    """A request in JSON; raises ContractBroken and InvalidStep as `oip_json` does."""
    return Request(
        method="POST",
        url=url,
        headers={"accept": "application/json", "content-type": "application/json"},
        body=(head([json_data(tensor) for tensor in tensors], parameters, binary=False),),
    )


def binary_request(url: str, tensors: Sequence[Tensor], parameters: Mapping[str, Any]) -> Request:
    """A request with its tensors as bytes, which are not copied."""
    parts = [to_raw(tensor) for tensor in tensors]
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
            "parameters": {_SIZE: len(part)},
        }
        for tensor, part in zip(tensors, parts, strict=True)
    ]
    said = head(inputs, parameters, binary=True)
    return Request(
        method="POST",
        url=url,
        headers={"content-type": "application/octet-stream", _HEADER: str(len(said))},
        body=(said, *parts),
    )


def read_answer(endpoint: Endpoint, response: Response) -> tuple[Mapping[str, Any], list[Tensor]]:
    """An answer's JSON, and its outputs.

    Raises:
        InvalidAnswer: It is cut, too long, of another type, or its outputs are not as it says.
    """
    body = memoryview(response.body)
    if _HEADER in response.headers:
        given = response.headers[_HEADER].strip()
        length = int(given) if _LENGTH.fullmatch(given) else len(body) + 1
        if length > len(body):
            raise unlike(endpoint, f"has {len(body)} bytes, and JSON of {given[:20]!r}", _CUT)
        said, rest = _json(endpoint, body[:length]), body[length:]
    else:
        said, rest = read_json(endpoint, response), body[:0]
    outputs = member(endpoint, said, "outputs")
    if not isinstance(outputs, list) or not all(isinstance(output, Mapping) for output in outputs):
        raise unlike(endpoint, "has no list of outputs", "look at what the model returns")
    tensors, left = [], rest
    for output in outputs:
        parameters = output.get("parameters")
        size = parameters.get(_SIZE) if isinstance(parameters, Mapping) else None
        if size is None:
            tensors.append(read_tensor(endpoint, output))
            continue
        if type(size) is not int or not 0 <= size <= len(left):
            raise unlike(endpoint, f"is cut: {len(left)} of {size} bytes are left", _CUT)
        tensors.append(_binary(endpoint, output, left[:size]))
        left = left[size:]
    if len(left):
        raise unlike(endpoint, f"has {len(left)} bytes more than its outputs take", _CUT)
    return said, tensors


def _binary(endpoint: Endpoint, output: Mapping[str, Any], raw: memoryview) -> Tensor:
    (field,) = read_fields(endpoint, [output])
    return from_raw(endpoint, field.name, field.datatype, field.shape, raw)


def _json(endpoint: Endpoint, said: memoryview) -> Any:
    try:
        return orjson.loads(said)
    except ValueError as error:
        raise unlike(endpoint, f"has a header that is no JSON ({error})", _CUT) from error
