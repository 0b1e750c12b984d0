"""Seldon Core v1; the answers are recorded from its Python wrapper 1.18.2."""

from __future__ import annotations

import json
import math

import pyarrow as pa
import pytest

from backbeat.errors import (
    BackbeatError,
    InvalidAnswer,
    InvalidData,
    InvalidStep,
    NotFound,
    Unreachable,
)
from backbeat.inference.address import parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocol import Field, ModelInfo
from backbeat.inference.protocols import protocol_named

PROTOCOL = protocol_named("seldon-v1")
ENDPOINT = parse_address("seldon-v1+http://127.0.0.1:9000/api/v1.0/predictions")
ROWS = pa.record_batch({"a": [1.0, 0.0], "b": [2, 0]})
METADATA = (
    b'{"custom":{},"inputs":[{"messagetype":"ndarray","schema":{"names":["a","b","c","d"],'
    b'"shape":[4]}}],"name":"churn","outputs":[{"messagetype":"ndarray","schema":{"names":'
    b'["score","label"],"shape":[2]}}],"platform":"numpy","versions":["1"]}\n'
)
GOOD = (
    b'{"data":{"names":["score","label"],"ndarray":[[0.740774899182154,1.0],'
    b'[0.5124973964842103,1.0]]},"meta":{"puid":"abc","requestPath":{"churn":"repo:5000/churn:1.2"}}}\n'
)


def _answer(body: bytes, status: int = 200) -> Response:
    return Response(status=status, headers={"content-type": "application/json"}, body=body)


def _decoded(body: bytes) -> dict[str, list[object]]:
    found = PROTOCOL.decode(ENDPOINT, ModelInfo(), ROWS, _answer(body)).outputs.to_pydict()
    return dict(found)


def test_a_deployment_behind_a_gateway_keeps_its_prefix() -> None:
    """Health and metadata are asked for where predictions are."""
    endpoint = parse_address("seldon-v1+https://gw/seldon/ns/churn/api/v1.0/predictions")
    PROTOCOL.check(endpoint)
    assert PROTOCOL.ready(endpoint).url == ("https://gw:443/seldon/ns/churn/api/v1.0/health/status")
    asked = PROTOCOL.describe(endpoint)
    assert asked is not None
    assert asked.url == "https://gw:443/seldon/ns/churn/api/v1.0/metadata"


@pytest.mark.parametrize("rest", ["http://h:1/predict", "http://h:1/api/v1.0/predictions?x=1"])
def test_what_is_no_address_of_it_is_refused_before_any_work(rest: str) -> None:
    """Another path, or an option."""
    with pytest.raises(InvalidStep):
        PROTOCOL.check(parse_address(f"seldon-v1+{rest}"))


def test_rows_are_an_ndarray_with_names_and_parameters_are_tags() -> None:
    """As the wrapper hands them to `predict`."""
    request = PROTOCOL.encode(ENDPOINT, ModelInfo(), ROWS, {"threshold": 0.5})
    assert json.loads(b"".join(request.body)) == {
        "data": {"names": ["a", "b"], "ndarray": [[1.0, 2], [0.0, 0]]},
        "meta": {"tags": {"threshold": 0.5}},
    }


def test_an_ndarray_with_names_is_a_column_a_name() -> None:
    """With the request's id, and the image that answered."""
    answer = PROTOCOL.decode(ENDPOINT, ModelInfo(), ROWS, _answer(GOOD))
    assert answer.outputs.to_pydict() == {
        "score": [0.740774899182154, 0.5124973964842103],
        "label": [1.0, 1.0],
    }
    assert (answer.model, answer.version, answer.request_id) == ("churn", "1.2", "abc")


def test_an_ndarray_without_names_of_its_own_is_one_output() -> None:
    """The wrapper's made-up names, `t:0` and so on, are none."""
    vectors = _decoded(b'{"data":{"names":["t:0","t:1"],"ndarray":[[0.7,1],[0.5,1]]},"meta":{}}')
    assert vectors == {"prediction": [[0.7, 1.0], [0.5, 1.0]]}
    assert _decoded(b'{"data":{"names":[],"ndarray":[0.7,0.5]}}') == {"prediction": [0.7, 0.5]}
    assert _decoded(b'{"data":{"names":["p"],"ndarray":[0.7,0.5]}}') == {"p": [0.7, 0.5]}
    assert _decoded(b'{"jsonData":{"p":[0.7,0.5]}}') == {"p": [0.7, 0.5]}


def test_nan_is_a_number_although_it_is_no_json() -> None:
    """The wrapper writes it, and a prediction that is missing is the caller's to judge."""
    found = _decoded(b'{"data":{"names":["score","label"],"ndarray":[[NaN,0.0],[0.5,1.0]]}}')
    assert math.isnan(found["score"][0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":{"names":["score"],"ndarray":[[0.7],[0.5]',
        b'{"data":{"names":["score"],"ndarray":[[0.7]]}}',
        b'{"data":{"names":["score"],"ndarray":0.7}}',
        b'{"data":{"names":["score"]}}',
        b'{"data":[[0.7],[0.5]]}',
        b'{"status":{"status":"FAILURE","info":"no","code":500}}',
        b'{"status":{"status":1,"info":"no"},"data":{"ndarray":[0.7,0.5]}}',
        b"[]",
    ],
)
def test_what_is_no_answer_to_these_rows_is_invalid(body: bytes) -> None:
    """Cut, another number of rows, or a failure that came with 200."""
    with pytest.raises(InvalidAnswer):
        _decoded(body)


def test_the_description_is_the_metadata_that_its_author_wrote() -> None:
    """Names of columns, and the last version."""
    info = PROTOCOL.read_description(ENDPOINT, _answer(METADATA))
    assert (info.name, info.version, info.server) == ("churn", "1", "numpy")
    assert [field.name for field in info.inputs] == ["a", "b", "c", "d"]
    assert [field.name for field in info.outputs] == ["score", "label"]
    tensor = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[-1,4]}]}'
    assert PROTOCOL.read_description(ENDPOINT, _answer(tensor)).inputs == (
        Field(name="x", datatype="FP64", shape=(-1, 4)),
    )


@pytest.mark.parametrize(
    "body", [b"[]", b'{"versions":{"a":1}}', b'{"inputs":[{"name":"x","shape":["a"]}]}']
)
def test_a_description_of_something_else_is_invalid(body: bytes) -> None:
    """Whoever answers there is not Seldon."""
    with pytest.raises(InvalidAnswer):
        PROTOCOL.read_description(ENDPOINT, _answer(body))


def _said(status: int, reason: str, info: str) -> Response:
    told = {"status": {"code": -1, "info": info, "reason": reason, "status": 1}}
    return _answer(json.dumps(told, separators=(",", ":")).encode(), status)


def test_a_model_without_metadata_is_described_by_nothing() -> None:
    """Whether there never was any, or it does not validate."""
    for info, reason in [
        ("404 Not Found: The requested URL was not found", "MICROSERVICE_INTERNAL_ERROR"),
        ("Model metadata unavailable", "MICROSERVICE_BAD_METADATA"),
    ]:
        assert PROTOCOL.read_description(ENDPOINT, _said(500, reason, info)) == ModelInfo()


@pytest.mark.parametrize(
    ("status", "reason", "info", "meaning"),
    [
        (400, "MICROSERVICE_BAD_DATA", "churn takes rows of 4 numbers, not (1, 3)", InvalidData),
        (
            500,
            "MICROSERVICE_INTERNAL_ERROR",
            "405 Method Not Allowed: The method is not allowed for the requested URL.",
            NotFound,
        ),
        (500, "MICROSERVICE_INTERNAL_ERROR", "division by zero", Unreachable),
    ],
)
def test_a_500_is_an_unknown_path_where_it_says_so(
    status: int, reason: str, info: str, meaning: type[BackbeatError]
) -> None:
    """The wrapper answers every exception with 500, also those of an unknown path."""
    assert type(PROTOCOL.failure(ENDPOINT, _said(status, reason, info))) is meaning
