"""TorchServe; the answers are recorded from TorchServe 0.12."""

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
    Refused,
    Unreachable,
)
from backbeat.inference.address import parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocol import ModelInfo
from backbeat.inference.protocols import protocol_named

PROTOCOL = protocol_named("torchserve")
ENDPOINT = parse_address("torchserve+http://127.0.0.1:8080/predictions/churn")
ROWS = pa.record_batch({"a": [1.0], "b": [2]})
WORKER = (
    b'[{"modelName": "churn", "modelVersion": "1", "workers": [{"id": "9000", "status": "%s"}]}]'
)
# a good answer says no content type
GOOD = b'[\n  {\n    "score": 0.7407748991821539,\n    "label": 1\n  }\n]'
NO_WORKER = (
    b'{\n  "code": 503,\n  "type": "ServiceUnavailableException",\n  "message": "Model \\"churn\\" '
    b"has no worker to serve inference request. Please use scale workers API to add workers. If "
    b"this is a sequence inference, please check if it is closed, or expired; or exceeds "
    b'maxSequenceJobQueueSize"\n}'
)


def _answer(body: bytes, status: int = 200) -> Response:
    return Response(status=status, headers={"x-request-id": "c8f5b686"}, body=body)


def _said(status: int, kind: str, message: str) -> BackbeatError | None:
    body = json.dumps({"code": status, "type": kind, "message": message}, indent=2).encode()
    return PROTOCOL.failure(ENDPOINT, _answer(body, status))


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ("", "http://127.0.0.1:8081/models/churn"),
        ("?management=https://other:9000/", "https://other:9000/models/churn"),
        ("?management=", "http://127.0.0.1:8080/ping"),
    ],
)
def test_readiness_is_asked_of_the_management_api(options: str, asked: str) -> None:
    """On its usual port, at an address, or of the server where it is out of reach."""
    endpoint = parse_address(ENDPOINT.address + options)
    PROTOCOL.check(endpoint)
    assert PROTOCOL.ready(endpoint).url == asked
    assert (PROTOCOL.describe(endpoint) is None) is asked.endswith("/ping")


def test_a_version_is_part_of_every_question() -> None:
    """One version is not ready because another one is."""
    endpoint = parse_address(f"{ENDPOINT.address}/2")
    PROTOCOL.check(endpoint)
    assert PROTOCOL.ready(endpoint).url == "http://127.0.0.1:8081/models/churn/2"
    assert PROTOCOL.encode(endpoint, ModelInfo(), ROWS, {}).url.endswith("/predictions/churn/2")
    assert PROTOCOL.decode(endpoint, ModelInfo(), ROWS, _answer(GOOD)).version == "2"


@pytest.mark.parametrize(
    "address",
    [
        "torchserve+http://h:1/v1/models/churn",
        "torchserve+http://h:1/predictions/churn?management=h:8081",
        "torchserve+http://h:1/predictions/churn?management=http://me:secret@h:8081",
        "torchserve+grpc://h:1/predictions/churn",
    ],
)
def test_what_is_no_address_of_it_is_refused_before_any_work(address: str) -> None:
    """Another path, a management API that is no URL or holds a secret; the secret is not shown."""
    with pytest.raises(InvalidStep) as caught:
        PROTOCOL.check(parse_address(address))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "ready"),
    [
        (WORKER % b"READY", True),
        (WORKER % b"LOADING", False),
        (WORKER % b"UNLOADING", False),
        (b'[{"modelName": "churn", "modelVersion": "1", "workers": []}]', False),
        (b'{\n  "status": "Healthy"\n}\n', True),
        (b'{\n  "status": "Partial Healthy"\n}\n', False),
    ],
)
def test_ready_is_a_worker_that_is(body: bytes, ready: bool) -> None:
    """A server without a worker is well, and hangs."""
    assert PROTOCOL.read_ready(ENDPOINT, _answer(body)) is ready


@pytest.mark.parametrize("body", [b"[1]", b'[{"workers": [1]}]', b'[{"workers": 1}]', b"{}", b"x"])
def test_a_status_of_something_else_is_invalid(body: bytes) -> None:
    """Whoever answers there is not TorchServe, and waiting for it is in vain."""
    with pytest.raises(InvalidAnswer):
        PROTOCOL.read_ready(ENDPOINT, _answer(body))


def test_the_description_has_name_and_version() -> None:
    """The version that answers where the address names none."""
    info = PROTOCOL.read_description(ENDPOINT, _answer(WORKER % b"READY"))
    assert (info.name, info.version) == ("churn", "1")
    with pytest.raises(InvalidAnswer, match="management="):
        PROTOCOL.read_description(ENDPOINT, _answer(b'{"status": "Healthy"}'))


def test_rows_are_a_list_of_records_and_answers_too() -> None:
    """The handler finds the list as its request's body."""
    request = PROTOCOL.encode(ENDPOINT, ModelInfo(), ROWS, {})
    assert b"".join(request.body) == b'[{"a":1.0,"b":2}]'
    answer = PROTOCOL.decode(ENDPOINT, ModelInfo(), ROWS, _answer(GOOD))
    assert answer.outputs.to_pydict() == {"score": [0.7407748991821539], "label": [1]}
    assert answer.request_id == "c8f5b686"
    wrapped = _answer(b'{"predictions": ' + GOOD + b"}")
    assert PROTOCOL.decode(ENDPOINT, ModelInfo(), ROWS, wrapped).outputs.equals(answer.outputs)


def test_it_has_no_place_for_parameters() -> None:
    """They are refused and not left out."""
    with pytest.raises(InvalidStep, match="parameters"):
        PROTOCOL.encode(ENDPOINT, ModelInfo(), ROWS, {"temperature": 0})


def test_a_503_of_a_handler_that_raised_is_the_fault_of_the_rows() -> None:
    """Of a server without a worker it is not."""
    assert type(_said(503, "InternalServerException", "Prediction failed")) is InvalidData
    assert type(PROTOCOL.failure(ENDPOINT, _answer(NO_WORKER, 503))) is Overloaded
    assert type(PROTOCOL.failure(ENDPOINT, _answer(b"<html>503</html>", 503))) is Overloaded


@pytest.mark.parametrize(
    ("status", "kind", "message", "meaning"),
    [
        (400, "InternalServerException", "the rows have no d", InvalidData),
        (400, "InvalidKeyException", "Token Authorization failed.", Refused),
        (404, "ModelNotFoundException", "Model not found: nope", NotFound),
        (404, "ModelVersionNotFoundException", "Model version: 7 does not exist", NotFound),
        (500, "InternalServerException", "Worker died.", Unreachable),
        (503, "InternalServerException", "Invalid model predict output", InvalidAnswer),
        (507, "InternalServerException", "Out of resources", Overloaded),
    ],
)
def test_every_other_failure_means_what_it_says(
    status: int, kind: str, message: str, meaning: type[BackbeatError]
) -> None:
    """TorchServe's types and messages, which its statuses do not tell apart."""
    assert type(_said(status, kind, message)) is meaning
