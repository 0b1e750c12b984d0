"""What a status of gRPC means for whoever asked a model, and when to ask again.

https://grpc.io/docs/guides/status-codes/
"""

from __future__ import annotations

from backbeat.errors import (
    BackbeatError,
    InvalidData,
    NotFound,
    Overloaded,
    Refused,
    Unreachable,
)
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Response
from backbeat.inference.protocols.failures import retry_after, said

__all__ = ["grpc_failure", "grpc_said"]

_OK = 0
_TOO_MUCH = 8
_DATA = "compare the rows with what the model takes, and look at the server's log"
_MEANINGS: dict[int, tuple[type[BackbeatError], str]] = {
    3: (InvalidData, _DATA),
    5: (NotFound, "look at what the server serves, and at the address"),
    7: (Refused, "let whoever runs the server allow these credentials"),
    _TOO_MUCH: (Overloaded, "send fewer requests at a time, or serve more replicas"),
    9: (InvalidData, _DATA),
    11: (InvalidData, _DATA),
    12: (NotFound, "look whether the server speaks this protocol at this port"),
    14: (Overloaded, "wait until the model has started, or serve more replicas"),
    16: (Refused, "give the connection credentials that this server knows"),
}


def grpc_failure(endpoint: Endpoint, response: Response) -> BackbeatError | None:
    """What a bad answer over gRPC means by its status, None where it is a good one.

    Args:
        endpoint: Who was asked.
        response: The answer.
    """
    if response.status == _OK:
        return None
    text = grpc_said(response)
    message = f"{endpoint.authority} answered with gRPC status {response.status}: {text}"
    kind, hint = _MEANINGS.get(response.status, (Unreachable, "look at the server's log"))
    if response.status == _TOO_MUCH and "larger than max" in text:
        # a limit of size has the status of a limit of load
        kind, hint = InvalidData, "send fewer rows in a request"
    return kind(message, hint=hint, retry_after=_after(response) if kind.retryable else None)


def grpc_said(response: Response) -> str:
    """The first words of a bad answer, on one line."""
    return said(Response(status=0, body=response.headers.get("grpc-message", "").encode()))


def _after(response: Response) -> float | None:
    pushback = response.headers.get("grpc-retry-pushback-ms", "")
    if pushback.isascii() and pushback.isdigit():
        return int(pushback) / 1000
    return retry_after(response)
