"""BentoML; the answers are recorded from BentoML 1.4.39."""

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
from backbeat.inference.protocol import Field, ModelInfo
from backbeat.inference.protocols import protocol_named

PROTOCOL = protocol_named("bentoml")
ARRAY = parse_address("bentoml+http://127.0.0.1:3000/classify")
RECORDS = parse_address("bentoml+http://127.0.0.1:3000/explain")
ROWS = pa.record_batch({"a": [1.0, 0.0], "b": [2, 0]})
SCHEMA = (
    b'{"name":"churn","type":"service","routes":[{"name":"classify","route":"/classify",'
    b'"batchable":false,"input":{"properties":{"rows":{"format":"numpy-array","title":"Rows",'
    b'"type":"tensor"}},"required":["rows"],"title":"Input","type":"object"},"output":{"format":'
    b'"numpy-array","type":"tensor"},"is_task":false},{"name":"explain","route":"/explain",'
    b'"batchable":false,"input":{"properties":{"rows":{"items":{"properties":{"a":{"title":"A",'
    b'"type":"number"}},"required":["a"],"title":"Row","type":"object"},"title":"Rows","type":'
    b'"array"},"threshold":{"default":0.5,"title":"Threshold","type":"number"}},"required":'
    b'["rows"],"title":"Input","type":"object"},"output":{"items":{"additionalProperties":{"type":'
    b'"number"},"type":"object"},"type":"array"},"is_task":false}],"paths":{}}'
)


def _answer(body: bytes, status: int = 200) -> Response:
    headers = {"content-type": "application/json", "x-bentoml-request-id": "4f462bce66a1f744"}
    return Response(status=status, headers=headers, body=body)


def _sent(address: str, **parameters: object) -> object:
    endpoint = parse_address(address)
    info = PROTOCOL.read_description(endpoint, _answer(SCHEMA))
    return json.loads(b"".join(PROTOCOL.encode(endpoint, info, ROWS, parameters).body))


def test_health_and_schema_lie_beside_the_endpoint() -> None:
    """Below the prefix that the service or a proxy gives it."""
    endpoint = parse_address("bentoml+http://h:1/bento/classify")
    PROTOCOL.check(endpoint)
    assert PROTOCOL.ready(endpoint).url == "http://h:1/bento/readyz"
    asked = PROTOCOL.describe(endpoint)
    assert asked is not None
    assert asked.url == "http://h:1/bento/schema.json"


def test_an_address_names_a_method() -> None:
    """A bare host is none."""
    with pytest.raises(InvalidStep):
        PROTOCOL.check(parse_address("bentoml+http://h:1/"))


def test_the_parameters_of_the_method_are_the_inputs() -> None:
    """An array's datatype is a number's; a record's is empty."""
    info = PROTOCOL.read_description(ARRAY, _answer(SCHEMA))
    assert info.name == "churn"
    assert info.inputs == (Field(name="rows", datatype="FP64", shape=(-1,)),)
    info = PROTOCOL.read_description(RECORDS, _answer(SCHEMA))
    assert [(field.name, field.datatype) for field in info.inputs] == [
        ("rows", ""),
        ("threshold", ""),
    ]


def test_rows_are_the_first_argument_in_the_form_that_it_takes() -> None:
    """Lists for an array, records for a list of objects; parameters are the other arguments."""
    assert _sent(ARRAY.address) == {"rows": [[1.0, 2], [0.0, 0]]}
    assert _sent(RECORDS.address, threshold=0.9) == {
        "rows": [{"a": 1.0, "b": 2}, {"a": 0.0, "b": 0}],
        "threshold": 0.9,
    }


def test_an_address_can_name_the_argument() -> None:
    """Where it is not the first, or the schema is out of reach; one unknown is refused."""
    assert "rows" in dict(_sent(f"{RECORDS.address}?argument=rows"))  # type: ignore[call-overload]
    with pytest.raises(InvalidStep, match="rows, threshold"):
        _sent(f"{RECORDS.address}?argument=zeilen")
    with pytest.raises(InvalidStep, match="argument="):
        PROTOCOL.encode(RECORDS, ModelInfo(), ROWS, {})


def test_an_argument_by_its_position_is_the_whole_body() -> None:
    """A method with one parameter before `/` takes the rows without a name."""
    schema = (
        b'{"name":"churn","routes":[{"route":"/classify","input":{"type":"array","items":'
        b'{"type":"array"},"root_input":true}}]}'
    )
    info = PROTOCOL.read_description(ARRAY, _answer(schema))
    sent = PROTOCOL.encode(ARRAY, info, ROWS, {})
    assert json.loads(b"".join(sent.body)) == [[1.0, 2], [0.0, 0]]
    with pytest.raises(InvalidStep, match="parameters"):
        PROTOCOL.encode(ARRAY, info, ROWS, {"threshold": 1})


def test_an_endpoint_that_the_schema_does_not_have_is_not_found() -> None:
    """And the hint names those that it has."""
    with pytest.raises(NotFound) as caught:
        PROTOCOL.read_description(parse_address("bentoml+http://h:1/nope"), _answer(SCHEMA))
    assert "/classify, /explain" in caught.value.hint


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"name":"x","routes":[{"route":"/classify"}]}'])
def test_a_schema_of_something_else_is_invalid(body: bytes) -> None:
    """Whoever answers there is no BentoML service."""
    with pytest.raises(InvalidAnswer):
        PROTOCOL.read_description(ARRAY, _answer(body))


def test_an_array_is_one_output_and_records_are_a_column_a_name() -> None:
    """With the request's id."""
    info = ModelInfo(name="churn")
    array = PROTOCOL.decode(ARRAY, info, ROWS, _answer(b"[0.740774899182154, 0.5124973964842103]"))
    assert array.outputs.to_pydict() == {"prediction": [0.740774899182154, 0.5124973964842103]}
    assert (array.model, array.request_id) == ("churn", "4f462bce66a1f744")
    body = b'[{"score": 0.7407748991821539, "label": 0.0},{"score": 0.5, "label": 0.0}]'
    records = PROTOCOL.decode(RECORDS, info, ROWS, _answer(body)).outputs
    assert records.to_pydict() == {"score": [0.7407748991821539, 0.5], "label": [0.0, 0.0]}


@pytest.mark.parametrize(
    "body", [b"[0.7, 0.", b"[0.7]", b"0.7", b'[{"p": 1}, {"q": 1}]', b"[[], {}]"]
)
def test_what_is_no_answer_to_these_rows_is_invalid(body: bytes) -> None:
    """Cut, another number of rows, or rows that are not alike."""
    with pytest.raises(InvalidAnswer):
        PROTOCOL.decode(ARRAY, ModelInfo(), ROWS, _answer(body))


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (400, b'[{"error":"churn takes rows of 4 numbers, not (1, 3)"}]', InvalidData),
        (
            400,
            b'{"error":"1 validation error for Input","detail":[{"type":"missing"}]}',
            InvalidData,
        ),
        (404, b"Not Found", NotFound),
        (429, b'{"error":"Too many requests"}', Overloaded),
        (504, b'{"error":"Not able to process the request in 60 seconds"}', Unreachable),
    ],
)
def test_failures_mean_what_their_status_says(
    status: int, body: bytes, meaning: type[BackbeatError]
) -> None:
    """And the server's words are in the message."""
    failure = PROTOCOL.failure(ARRAY, _answer(body, status))
    assert type(failure) is meaning
    said = json.loads(body)["error"] if body.startswith(b"{") else body.decode()
    assert said in failure.message
