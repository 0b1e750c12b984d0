"""Ray Serve; the answers are recorded from Ray 2.60."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from backbeat.errors import (
    BackbeatError,
    InvalidAnswer,
    InvalidData,
    InvalidStep,
    NotFound,
    Overloaded,
    Unreachable,
)
from backbeat.inference.address import parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocol import ModelInfo
from backbeat.inference.protocols import protocol_named

PROTOCOL = protocol_named("ray-serve")
ENDPOINT = parse_address("ray-serve+http://127.0.0.1:8000/churn")
ROWS = pa.record_batch({"a": [1.0], "b": [2]})
ROUTES = b'{"/churn":"churn","/":"catch-all","/churn/eu":"churn-eu"}'


def _answer(body: bytes, status: int = 200, kind: str = "application/json") -> Response:
    headers = {"content-type": kind, "x-request-id": "9eaba150"}
    return Response(status=status, headers=headers, body=body)


def test_readiness_is_asked_of_the_proxy() -> None:
    """Which tells its routes only while it is well."""
    PROTOCOL.check(ENDPOINT)
    assert PROTOCOL.ready(ENDPOINT).url == "http://127.0.0.1:8000/-/routes"


@pytest.mark.parametrize(
    ("path", "application"),
    [
        ("/churn", "churn"),
        ("/churn/predict", "churn"),
        ("/churn/eu", "churn-eu"),
        ("/churnx", "catch-all"),
        ("", "catch-all"),
    ],
)
def test_the_longest_route_above_a_path_answers(path: str, application: str) -> None:
    """As the proxy decides it."""
    endpoint = parse_address(f"ray-serve+http://h:1{path}")
    assert PROTOCOL.read_ready(endpoint, _answer(ROUTES))
    assert PROTOCOL.read_description(endpoint, _answer(ROUTES)).name == application


def test_a_path_without_a_route_is_not_found() -> None:
    """And the hint names the routes that there are."""
    with pytest.raises(NotFound) as caught:
        PROTOCOL.read_ready(
            parse_address("ray-serve+http://h:1/nope"), _answer(b'{"/churn":"churn"}')
        )
    assert "/churn" in caught.value.hint
    with pytest.raises(NotFound):
        PROTOCOL.read_ready(ENDPOINT, _answer(b"{}"))


def test_a_proxy_that_is_not_well_is_not_ready() -> None:
    """Its 503 passes."""
    assert not PROTOCOL.read_ready(ENDPOINT, _answer(b"draining", 503, "text/plain"))


def test_rows_are_a_list_of_records_or_of_lists() -> None:
    """Posted to the route; parameters have no place."""
    request = PROTOCOL.encode(ENDPOINT, ModelInfo(), ROWS, {})
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:8000/churn")
    assert json.loads(b"".join(request.body)) == [{"a": 1.0, "b": 2}]
    lists = parse_address(f"{ENDPOINT.address}?rows=lists")
    sent = PROTOCOL.encode(lists, ModelInfo(), ROWS, {})
    assert json.loads(b"".join(sent.body)) == [[1.0, 2]]
    with pytest.raises(InvalidStep, match="parameters"):
        PROTOCOL.encode(ENDPOINT, ModelInfo(), ROWS, {"top": 3})


def test_what_the_application_returns_is_rows() -> None:
    """With the application's name and the request's id."""
    body = b'[{"score":0.7407748991821539,"label":1}]'
    answer = PROTOCOL.decode(ENDPOINT, ModelInfo(name="churn"), ROWS, _answer(body))
    assert answer.outputs.to_pydict() == {"score": [0.7407748991821539], "label": [1]}
    assert (answer.model, answer.request_id) == ("churn", "9eaba150")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'[{"score":0.74', "application/json"),
        (b"[]", "application/json"),
        (b'{"score":0.7}', "application/json"),
        (b"0.7407", "text/plain; charset=utf-8"),
        (b"<html>log in</html>", "text/html"),
    ],
)
def test_what_is_no_answer_to_these_rows_is_invalid(body: bytes, kind: str) -> None:
    """Cut, another number of rows, or another type of content."""
    with pytest.raises(InvalidAnswer):
        PROTOCOL.decode(ENDPOINT, ModelInfo(), ROWS, _answer(body, kind=kind))


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (400, b'{"error":"bad rows: \'d\'"}', InvalidData),
        (404, b"Path '/nope' not found. Ping http://.../-/routes for available routes.", NotFound),
        (408, b"Request 9eaba150 timed out after 1.0s.", Unreachable),
        (500, b"Internal Server Error", Unreachable),
        (503, b"Request dropped due to backpressure", Overloaded),
    ],
)
def test_failures_mean_what_their_status_says(
    status: int, body: bytes, meaning: type[BackbeatError]
) -> None:
    """Of the application and of the proxy."""
    assert type(PROTOCOL.failure(ENDPOINT, _answer(body, status, "text/plain"))) is meaning
