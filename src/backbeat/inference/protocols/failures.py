"""What a status of HTTP means for whoever asked a model, and when to ask again."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from backbeat.errors import (
    BackbeatError,
    InvalidAnswer,
    InvalidData,
    NotFound,
    Overloaded,
    Refused,
    Unreachable,
)
from backbeat.inference.address import Endpoint
from backbeat.inference.message import Response
from backbeat.inference.protocols.reasons import reason
from backbeat.inference.protocols.said import MOST_LETTERS, said

__all__ = ["http_failure", "retry_after", "said"]

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]*)?")
_GOOD = range(200, 300)
_ELSEWHERE = range(300, 400)
_CALLERS = range(400, 500)

_DATA = "compare the rows with what the model takes, and look at the server's log"
_MEANINGS: dict[int, tuple[type[BackbeatError], str]] = {
    400: (InvalidData, _DATA),
    401: (Refused, "give the connection credentials that this server knows"),
    403: (Refused, "let whoever runs the server allow these credentials"),
    404: (NotFound, "look at what the server serves, and at the address"),
    405: (NotFound, "look at the path of the address"),
    407: (Refused, "give the connection credentials that the proxy knows"),
    408: (Unreachable, "send fewer rows in a request, or give the server more time"),
    410: (NotFound, "look at what the server serves, and at the address"),
    413: (InvalidData, "send fewer rows in a request"),
    415: (InvalidData, _DATA),
    422: (InvalidData, _DATA),
    425: (Overloaded, ""),
    429: (Overloaded, "send fewer requests at a time, or serve more replicas"),
    501: (NotFound, "look at which protocols the server speaks for this model"),
    503: (Overloaded, "wait until the model has started, or serve more replicas"),
    # the frontends of several servers say it of a GPU whose memory is spent
    507: (Overloaded, "send fewer rows in a request, or serve more replicas"),
    529: (Overloaded, "send fewer requests at a time, or serve more replicas"),
}


def http_failure(
    endpoint: Endpoint, response: Response, *, why: Callable[[Response], str] = reason
) -> BackbeatError | None:
    """What a bad answer over HTTP means by its status, None where it is a good one.

    Args:
        endpoint: Who was asked.
        response: The answer.
        why: Reads what it says, without what it repeats of the rows.
    """
    status = response.status
    if status in _GOOD:
        return None
    happened = f"{endpoint.authority} answered {endpoint.path or '/'} with {status}"
    text = why(response)
    message = f"{happened}: {text}" if text else f"{happened}."
    if status in _ELSEWHERE:
        where = response.headers.get("location", "")[:MOST_LETTERS]
        return InvalidAnswer(
            f"{happened} and sends us on to {where!r}.",
            hint="write the address that the server itself has; a login page wants credentials",
        )
    unknown = (
        (Refused, "look up what this status means to the server, and at what stands before it")
        if status in _CALLERS
        else (Unreachable, "look at the server's log")
    )
    kind, hint = _MEANINGS.get(status, unknown)
    return kind(message, hint=hint, retry_after=retry_after(response) if kind.retryable else None)


def retry_after(response: Response) -> float | None:
    """Seconds after which a server wants to be asked again (RFC 9110, 10.2.3).

    Args:
        response: Its answer; a date is held against the server's own clock where it says its.

    Returns:
        None where it does not say, or says what is neither a number nor a date.
    """
    value = response.headers.get("retry-after", "").strip()
    # the RFC has whole seconds alone, not every server has
    if _SECONDS.fullmatch(value):
        return float(value)
    when = _date(value)
    if when is None:
        return None
    now = _date(response.headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (when - now).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
