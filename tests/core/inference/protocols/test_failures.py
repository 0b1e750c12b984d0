"""What statuses of HTTP mean, and when to ask again."""

from __future__ import annotations

import pytest

from backbeat.errors import (
    BackbeatError,
    InvalidAnswer,
    InvalidData,
    NotFound,
    Overloaded,
    Refused,
    Unreachable,
)
from backbeat.inference.address import parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocols.failures import http_failure, retry_after, said

ENDPOINT = parse_address("ray-serve+http://127.0.0.1:8000/churn")


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (302, InvalidAnswer),
        (400, InvalidData),
        (401, Refused),
        (402, Refused),
        (403, Refused),
        (404, NotFound),
        (405, NotFound),
        (408, Unreachable),
        (413, InvalidData),
        (422, InvalidData),
        (429, Overloaded),
        (500, Unreachable),
        (501, NotFound),
        (502, Unreachable),
        (503, Overloaded),
        (504, Unreachable),
        (599, Unreachable),
    ],
)
def test_every_bad_status_has_a_meaning_and_a_hint(
    status: int, meaning: type[BackbeatError]
) -> None:
    """Who must do something differs by it, and whether a retry helps."""
    failure = http_failure(ENDPOINT, Response(status=status, body=b"why"))
    assert type(failure) is meaning
    assert failure.hint
    assert str(status) in failure.message


def test_a_good_status_is_no_failure() -> None:
    """Whatever the body says."""
    assert http_failure(ENDPOINT, Response(status=200, body=b"error")) is None


def test_a_redirect_is_not_followed_and_says_where_to() -> None:
    """It would carry rows and secrets to where the address does not say."""
    moved = Response(status=308, headers={"location": "https://h/churn"})
    failure = http_failure(ENDPOINT, moved)
    assert failure is not None
    assert "https://h/churn" in failure.message


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("Thu, 26 Nov 2026 19:35:41 GMT", 30.0),
        ("Thu, 26 Nov 2026 19:00:00 GMT", 0.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("nan", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    """A date is held against the server's own clock; nonsense is no answer."""
    headers = {"retry-after": value, "date": "Thu, 26 Nov 2026 19:35:11 GMT"}
    assert retry_after(Response(status=503, headers=headers)) == seconds


def test_only_what_can_be_retried_carries_retry_after() -> None:
    """A 400 with it is still final."""
    headers = {"retry-after": "7"}
    final = http_failure(ENDPOINT, Response(status=400, headers=headers))
    passing = http_failure(ENDPOINT, Response(status=429, headers=headers))
    assert final is not None
    assert passing is not None
    assert (final.retry_after, passing.retry_after) == (None, 7)


def test_the_servers_words_are_one_short_line() -> None:
    """Bytes that are no text, line breaks and terminal codes do not reach a log."""
    text = said(Response(status=500, body=b"\x1b[31mred\r\n\xff" + b"x" * 10_000))
    assert text.startswith("[31mred \ufffdx")
    assert len(text) == 300
    assert text.endswith("…")
    assert said(Response(status=500, body=memoryview(b" a\n b "))) == "a b"
