"""What a protocol wants sent, and what came back: bytes, whoever carries them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Request", "Response"]

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to a model server.

    Args:
        method: `GET` or `POST` over HTTP; `GRPC` for a unary call.
        url: The whole URL over HTTP; the full method over gRPC, such as
            `/inference.GRPCInferenceService/ModelInfer`.
        headers: Over gRPC, its metadata. Names are in small letters.
        body: Parts that are sent one after the other, so that a tensor need not be copied.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Sequence[Buffer] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer of a model server.

    Args:
        status: HTTP's status code, or gRPC's (0 is OK).
        headers: Names are in small letters. Over gRPC: its trailing metadata, and `grpc-message`.
        body: The whole answer.
        request: What it answers, where that is known: what was asked for is not always in it.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Buffer = b""
    request: Request | None = field(default=None, repr=False)
