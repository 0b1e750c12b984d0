"""KServe's V1 protocol; the answers are recorded from KServe's SDK 0.21."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from backbeat.errors import InvalidAnswer, InvalidData, InvalidStep, NotFound, Overloaded
from backbeat.inference.address import Endpoint, parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocol import ModelInfo
from backbeat.inference.protocols import protocol_named

PROTOCOL = protocol_named("kserve-v1")
ENDPOINT = parse_address("kserve-v1+http://127.0.0.1:8080/v1/models/churn")
ROWS = pa.record_batch({"a": [1.0, 0.0], "b": [2, 0]})


def _answer(body: bytes, status: int = 200, **headers: str) -> Response:
    return Response(
        status=status, headers={"content-type": "application/json", **headers}, body=body
    )


def _sent(endpoint: Endpoint, rows: pa.RecordBatch, **parameters: object) -> object:
    request = PROTOCOL.encode(endpoint, ModelInfo(), rows, parameters)
    return json.loads(b"".join(request.body))


@pytest.mark.parametrize(
    "path",
    ["/v1/models/churn", "/v1/models/churn:predict", "/models/churn/v1/models/churn/versions/3"],
)
def test_the_url_that_works_in_curl_is_an_address(path: str) -> None:
    """With a prefix, with a version, with or without the verb."""
    endpoint = parse_address(f"kserve-v1+http://h:1{path}")
    PROTOCOL.check(endpoint)
    request = PROTOCOL.encode(endpoint, ModelInfo(), ROWS, {})
    assert request.url == f"http://h:1{path.removesuffix(':predict')}:predict"
    assert PROTOCOL.ready(endpoint).url == f"http://h:1{path.removesuffix(':predict')}"


@pytest.mark.parametrize(
    "rest",
    [
        "http://h:1/v2/models/churn",
        "http://h:1/v1/models",
        "grpc://h:1/v1/models/churn",
        "http://h:1/v1/models/churn?rwos=lists",
        "http://h:1/v1/models/churn?rows=columns",
    ],
)
def test_what_is_no_address_of_it_is_refused_before_any_work(rest: str) -> None:
    """Another path, transport or option is an invalid step."""
    with pytest.raises(InvalidStep):
        PROTOCOL.check(parse_address(f"kserve-v1+{rest}"))


def test_an_instance_is_a_list_of_values_or_a_record() -> None:
    """Lists are what most runtimes take; an address can ask for records."""
    assert _sent(ENDPOINT, ROWS) == {"instances": [[1.0, 2], [0.0, 0]]}
    records = parse_address(f"{ENDPOINT.address}?rows=records")
    assert _sent(records, ROWS) == {"instances": [{"a": 1.0, "b": 2}, {"a": 0.0, "b": 0}]}


def test_a_lone_column_of_vectors_is_the_instances_themselves() -> None:
    """A model of one tensor gets tensors, not lists of one tensor."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, 3.0, 4.0]), 2)
    assert _sent(ENDPOINT, pa.record_batch({"x": vectors})) == {
        "instances": [[1.0, 2.0], [3.0, 4.0]]
    }


def test_parameters_lie_beside_the_instances() -> None:
    """A temperature is not a row."""
    assert _sent(ENDPOINT, ROWS, temperature=0)["parameters"] == {"temperature": 0}


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        (b'{"name":"churn","ready":true}', True),
        (b'{"name":"churn","ready":"True"}', True),
        (b'{"name":"churn","ready":"False"}', False),
        (b'{"model_version_status":[{"version":"3","state":"AVAILABLE"}]}', True),
        (b'{"model_version_status":[{"version":"3","state":"LOADING"}]}', False),
    ],
)
def test_ready_is_what_the_server_says_of_the_model(status: bytes, ready: bool) -> None:
    """KServe's word in both of its spellings, and TensorFlow Serving's."""
    assert PROTOCOL.read_ready(ENDPOINT, _answer(status)) is ready


def test_a_model_that_starts_is_not_ready_and_one_that_is_not_there_is_not_found() -> None:
    """A 503 passes; a 404 does not."""
    assert not PROTOCOL.read_ready(ENDPOINT, _answer(b'{"error":"starting"}', 503))
    with pytest.raises(NotFound, match="does not exist"):
        PROTOCOL.read_ready(
            ENDPOINT, _answer(b'{"error":"Model with name nope does not exist."}', 404)
        )


def test_the_description_has_the_name_and_tensorflow_servings_version() -> None:
    """As much as the protocol has words for."""
    kserve = _answer(b'{"name":"churn","ready":true}')
    assert PROTOCOL.read_description(ENDPOINT, kserve) == ModelInfo(name="churn")
    tensorflow = _answer(b'{"model_version_status":[{"version":"3","state":"AVAILABLE"}]}')
    assert PROTOCOL.read_description(ENDPOINT, tensorflow).version == "3"


def test_predictions_are_rows() -> None:
    """In the order of the instances."""
    body = b'{"predictions":[0.740774899182154,0.5124973964842103]}'
    answer = PROTOCOL.decode(ENDPOINT, ModelInfo(), ROWS, _answer(body, **{"x-request-id": "r"}))
    assert answer.outputs.to_pydict() == {"prediction": [0.740774899182154, 0.5124973964842103]}
    assert answer.request_id == "r"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"predictions":[0.7407',
        b'{"predictions":[0.7]}',
        b'{"predictions":[0.7,0.5,0.1]}',
        b'{"predictions":{"score":[0.7]}}',
        b'{"predictions":[0.7,"high"]}',
        b'{"predictions":0.7}',
        b'{"outputs":[0.7,0.5]}',
        b"[0.7,0.5]",
        b"null",
        b"[" * 100_000,
        b'{"predictions":[0.7,"\xff"]}',
    ],
)
def test_what_is_no_answer_to_these_rows_is_invalid(body: bytes) -> None:
    """Cut, of another type, of another number of rows, nested without end, or no text."""
    with pytest.raises(InvalidAnswer):
        PROTOCOL.decode(ENDPOINT, ModelInfo(), ROWS, _answer(body))


def test_bad_rows_are_invalid_and_a_model_that_starts_is_overloaded() -> None:
    """Both may be a 400; only one is the rows' fault."""
    refused = _answer(b'{"error":"churn takes rows of 4 numbers, not (1, 3)"}', 400)
    assert type(PROTOCOL.failure(ENDPOINT, refused)) is InvalidData
    starting = _answer(
        b'{"error":"Model with name churn is not ready."}', 400, **{"retry-after": "3"}
    )
    failure = PROTOCOL.failure(ENDPOINT, starting)
    assert type(failure) is Overloaded
    assert failure.retry_after == 3
