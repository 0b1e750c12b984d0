"""What a server says of its reason, and what it repeats of the rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backbeat.inference.message import Response
from backbeat.inference.protocols.reasons import reason


def _said(body: Any) -> str:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reason(Response(status=400, body=raw))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": "unexpected shape for input 'x'"}, "unexpected shape for input 'x'"),
        (
            {"code": 503, "type": "ServiceUnavailable", "message": "no worker"},
            "ServiceUnavailable: no worker",
        ),
        (
            {"error": {"type": "invalid_request", "message": "too long"}},
            "invalid_request: too long",
        ),
        ({"status": {"code": -1, "info": "bad", "status": 1}}, "-1: bad"),
        (b"no healthy upstream", "no healthy upstream"),
        (b"", ""),
        ([1, 2], "[1, 2]"),
        ({"rows": [31415]}, "a JSON object of rows"),
    ],
)
def test_the_kind_and_the_first_line_are_told(body: Any, told: str) -> None:
    """In the words of each server; of JSON that nobody knows the names of its members."""
    assert _said(body) == told


@pytest.mark.parametrize(
    "body",
    [
        {
            "detail": [
                {"type": "float_parsing", "loc": ["body", 0], "msg": "no number", "input": "31415"}
            ]
        },
        {"error": "1 validation error for Input\nrows\n  Field required [x=31415]"},
        {"error": "ValueError: could not convert string to float: '31415'"},
        {"error": "1 error [type=missing, input_value={'x': 31415}, input_type=dict]"},
        {"message": "failed", "stack_trace": "row 31415"},
    ],
)
def test_what_a_server_repeats_of_the_rows_is_left_out(body: Any) -> None:
    """An input beside the message, behind its first line, or in Python's own words for it."""
    assert _said(body)
    assert "31415" not in _said(body)


def test_secrets_and_long_texts_are_cut() -> None:
    """A few hundred letters, and no token among them."""
    said = _said({"error": "Authorization: Bearer abcdef123456 " + "long " * 1000})
    assert "abcdef123456" not in said
    assert len(said) == 300
