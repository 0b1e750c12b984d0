"""MLflow's scoring server; the answers are recorded from MLflow 3.17.2."""

from __future__ import annotations

import json
import math

import pyarrow as pa
import pytest

from backbeat.errors import InvalidAnswer, InvalidData, InvalidStep
from backbeat.inference.address import parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocol import ModelInfo
from backbeat.inference.protocols import protocol_named

PROTOCOL = protocol_named("mlflow")
ENDPOINT = parse_address("mlflow+http://127.0.0.1:5000/invocations")
ROWS = pa.record_batch({"a": [1.0, 0.0], "b": [2, 0]})
REFUSED = (
    b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "Failed to predict data \'     a    b'
    b"    c\\n0  1.0  2.0  3.0'. \\nError: Failed to enforce schema of data '     a    b    c\\n0"
    b"  1.0  2.0  3.0' with schema '['a': double (required), 'b': double (required), 'c': double "
    b"(required), 'd': double (required)]'. Error: Model is missing inputs ['d'].\", \"sqlstate\": "
    b'"KAM01", "error_class": "SCHEMA_ENFORCEMENT_FAILED"}'
)


def _answer(body: bytes, status: int = 200) -> Response:
    return Response(status=status, headers={"content-type": "application/json"}, body=body)


def test_ping_and_version_lie_beside_invocations() -> None:
    """Below the prefix that a gateway gives them."""
    endpoint = parse_address("mlflow+http://h:1/models/churn/invocations")
    PROTOCOL.check(endpoint)
    assert PROTOCOL.ready(endpoint).url == "http://h:1/models/churn/ping"
    asked = PROTOCOL.describe(endpoint)
    assert asked is not None
    assert asked.url == "http://h:1/models/churn/version"


def test_an_address_ends_with_invocations() -> None:
    """A bare host is none."""
    with pytest.raises(InvalidStep, match="path"):
        PROTOCOL.check(parse_address("mlflow+http://h:1"))


def test_rows_are_a_split_data_frame_and_parameters_its_params() -> None:
    """A vector stays a cell, and bytes are the bare text of their base64."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, 3.0, 4.0]), 2)
    rows = pa.record_batch({"x": vectors, "image": pa.array([b"\x00\xff", None], pa.binary())})
    request = PROTOCOL.encode(ENDPOINT, ModelInfo(), rows, {"top": 3})
    assert json.loads(b"".join(request.body)) == {
        "dataframe_split": {
            "columns": ["x", "image"],
            "data": [[[1.0, 2.0], "AP8="], [[3.0, 4.0], None]],
        },
        "params": {"top": 3},
    }
    assert request.headers["content-type"] == "application/json"


def test_a_lone_column_of_vectors_is_a_column() -> None:
    """A data frame of one column has rows of one cell."""
    vectors = pa.array([[1.0], [2.0]])
    request = PROTOCOL.encode(ENDPOINT, ModelInfo(), pa.record_batch({"x": vectors}), {})
    assert json.loads(b"".join(request.body))["dataframe_split"]["data"] == [[[1.0]], [[2.0]]]


def test_predictions_are_rows() -> None:
    """A data frame of predictions is a column a name; NaN is a number although it is no JSON."""
    body = (
        b'{"predictions": [{"score": 0.740774899182154, "label": 1}, {"score": NaN, "label": 0}]}'
    )
    found = PROTOCOL.decode(ENDPOINT, ModelInfo(), ROWS, _answer(body)).outputs
    assert found.column("label").to_pylist() == [1, 0]
    assert math.isnan(found.column("score")[1].as_py())


@pytest.mark.parametrize(
    "body", [b'{"predictions": [0.7, 0.', b'{"predictions": [0.7]}', b'{"predictions": null}', b"1"]
)
def test_what_is_no_answer_to_these_rows_is_invalid(body: bytes) -> None:
    """Cut, of another type, or another number of rows."""
    with pytest.raises(InvalidAnswer):
        PROTOCOL.decode(ENDPOINT, ModelInfo(), ROWS, _answer(body))


def test_the_description_is_mlflows_version() -> None:
    """Nothing where whoever speaks the protocol has no version."""
    assert PROTOCOL.read_description(ENDPOINT, _answer(b"3.17.2")).server == "mlflow 3.17.2"
    missing = _answer(b'{"detail":"Not Found"}', 404)
    assert PROTOCOL.read_description(ENDPOINT, missing) == ModelInfo()


def test_readiness_is_a_ping_that_is_answered() -> None:
    """The server answers once its model is loaded; a proxy's 503 before that is not ready."""
    assert PROTOCOL.read_ready(ENDPOINT, _answer(b"\n"))
    assert not PROTOCOL.read_ready(ENDPOINT, _answer(b"no healthy upstream", 503))


def test_a_refused_schema_is_the_fault_of_the_rows_and_told_shortly() -> None:
    """MLflow repeats the rows and a traceback; a few hundred characters of it are kept."""
    failure = PROTOCOL.failure(ENDPOINT, _answer(REFUSED + b" " * 10_000, 400))
    assert type(failure) is InvalidData
    assert "INVALID_PARAMETER_VALUE" in failure.message
    assert len(failure.message) < 400
    assert "\n" not in failure.message
