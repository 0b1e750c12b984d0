"""The ledger's port as HTTP carries it: a JSON POST a verb, read off the port itself.

A call is `POST /ledger/v1/<verb>` with the verb's arguments by name, an answer is
`{"answer": ...}`, an error is `error.as_json()` under the status that fits its class. The path's
version changes when an older worker would no longer be understood; a new optional field does not
change it, so the service is upgraded before its workers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from inspect import signature
from typing import Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic_core import PydanticSerializationError

import backbeat.errors
from backbeat.errors import (
    BackbeatError,
    BudgetSpent,
    Conflict,
    FencedOut,
    InvalidData,
    LeaseHeld,
    NotFound,
    Refused,
    RetryableError,
    StorageFull,
)
from backbeat.ports import Ledger

__all__ = [
    "LARGEST_BODY",
    "LONGEST_WATCH",
    "PREFIX",
    "VERBS",
    "Verb",
    "decode_answer",
    "decode_call",
    "decode_error",
    "encode_answer",
    "encode_call",
    "encode_error",
    "is_loopback",
    "status_of",
    "too_large",
]

PREFIX = "/ledger/v1/"
LARGEST_BODY = 1 << 20
LONGEST_WATCH = 25.0  # seconds; what stands between worker and service may cut silence after 30

Verb = Literal[
    "acquire", "append", "attempts", "check", "claim", "deny", "drain", "due", "finish",
    "heartbeat", "read", "release", "run", "runs", "spend", "streams", "watch",
]  # fmt: skip
VERBS: tuple[Verb, ...] = get_args(Verb)

_STATUS: tuple[tuple[type[BackbeatError], int], ...] = (
    (LeaseHeld, 409),
    (Conflict, 409),
    (FencedOut, 409),
    (Refused, 403),
    (NotFound, 404),
    (BudgetSpent, 429),
    (StorageFull, 507),
    (RetryableError, 503),
)
_UNPROCESSABLE = 422


class _Answer(BaseModel):
    answer: Any


@cache
def _arguments(verb: Verb) -> type[BaseModel]:
    # the sinks are the service's own
    method = getattr(Ledger, verb)
    hints = get_type_hints(method)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in signature(method).parameters.items()
        if name not in {"self", "sinks"}
    }
    return create_model(
        verb, __config__=ConfigDict(extra="forbid", ser_json_inf_nan="constants"), **fields
    )


@cache
def _answer(verb: Verb) -> TypeAdapter[Any]:
    return TypeAdapter(get_type_hints(getattr(Ledger, verb))["return"])


def encode_call(verb: Verb, arguments: Mapping[str, Any]) -> bytes:
    """A call's body.

    Raises:
        InvalidData: An argument is not what the port asks for, has no JSON form, or is too large.
    """
    try:
        body = _json(_arguments(verb)(**arguments).model_dump(mode="json"))
    except (ValueError, PydanticSerializationError) as error:
        raise InvalidData(
            f"the ledger's {verb} cannot be sent: {_reason(error)}",
            hint="give plain numbers, text, lists and dicts, without NaN or infinities",
        ) from error
    if len(body) > LARGEST_BODY:
        raise too_large(verb)
    return body


def decode_call(verb: Verb, body: bytes) -> dict[str, Any]:
    """A call's arguments by name, as the port's own types; raises InvalidData."""
    try:
        model = _arguments(verb).model_validate_json(body)
    except ValidationError as error:
        raise InvalidData(
            f"this is no call of the ledger's {verb}: {_reason(error)}",
            hint="let worker and service run the same version of backbeat, the service first",
        ) from error
    return {name: getattr(model, name) for name in type(model).model_fields}


def encode_answer(verb: Verb, answer: Any) -> bytes:
    """An answer's body."""
    return _json({"answer": _answer(verb).dump_python(answer, mode="json")})


def decode_answer(verb: Verb, body: bytes) -> Any:
    """What a verb of the port returns; raises ValueError where the bytes are no such answer."""
    return _answer(verb).validate_python(_Answer.model_validate_json(body).answer)


def encode_error(error: BackbeatError) -> bytes:
    """An error's body."""
    return _json(error.as_json())


def status_of(error: BackbeatError) -> int:
    """The HTTP status under which an error travels."""
    return next((code for kind, code in _STATUS if isinstance(error, kind)), _UNPROCESSABLE)


def decode_error(body: bytes) -> BackbeatError | None:
    """The very error that the service raised; None where the bytes are not its words."""
    try:
        described = json.loads(body)
        kind = getattr(backbeat.errors, described["error"])
        if not issubclass(kind, BackbeatError):
            return None
        message, hint = str(described["message"]), str(described["hint"])
        error: BackbeatError = kind(message, hint=hint, retry_after=described["retry_after"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return error


def too_large(verb: Verb) -> InvalidData:
    """What is said of a call that is larger than the service takes."""
    return InvalidData(
        f"the ledger's {verb} is larger than {LARGEST_BODY >> 20} MiB",
        hint="keep large evidence in the store, and refer to it by URI and digest",
    )


def is_loopback(host: str | None) -> bool:
    """Whether what is said to a host stays on this machine."""
    return host in {"127.0.0.1", "::1", "localhost"}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _reason(error: Exception) -> str:
    # pydantic's own text shows the input, which may be a person's words
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
