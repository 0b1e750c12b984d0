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
NO_NUMBER = (
    b'{"error_code": "BAD_REQUEST", "message": "Invalid input. Data is not compatible with model '
    b"signature. Failed to convert column a to type 'float64'. Error: 'ValueError(\\\"could not "
    b'convert string to float: \'secret31415\'\\")\'", "sqlstate": "KAM00", "error_class": '
    b'"INVALID_PARAMETER_VALUE"}'
)
RAISED = (
    b'{"error_code": "BAD_REQUEST", "message": "Encountered an unexpected error while evaluating '
    b"the model. Verify that the serialized input Dataframe is compatible with the model for "
    b'inference.", "sqlstate": "KAM00", "error_class": "INVALID_PARAMETER_VALUE", "stack_trace": '
    b'"Traceback (most recent call last):\\n  File \\"x.py\\", line 348, in invocations\\n'
    b'ValueError: bad row: {31415.0}"}'
)
TOO_FEW = (
    b'{"error_code": "BAD_REQUEST", "message": "Invalid input. Provided dataframe_split field is '
    b"not a valid dataframe representation in 'split' format. Error: '2 columns passed, passed "
    b'data had 1 columns\'", "sqlstate": "KAM00", "error_class": "INVALID_PARAMETER_VALUE"}'
)
NO_JSON = (
    b'{"error_code": "BAD_REQUEST", "message": "Invalid input. Ensure that input is a valid JSON '
    b"formatted string. Error: 'JSONDecodeError('Unterminated string starting at: line 1 column "
    b"22 (char 21)')'\\nInput: \\nb'{\\\"dataframe_split\\\": {\\\"secret31415'\\n\", "
    b'"sqlstate": "KAM00", "error_class": "INVALID_PARAMETER_VALUE"}'
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


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (REFUSED, "SCHEMA_ENFORCEMENT_FAILED): Model is missing inputs ['d']."),
        (NO_NUMBER, "Failed to convert column a to type 'float64'."),
        (RAISED, "Verify that the serialized input Dataframe is compatible with the model"),
        (TOO_FEW, "Provided dataframe_split field is not a valid dataframe representation"),
        (NO_JSON, "Ensure that input is a valid JSON formatted string."),
    ],
)
def test_a_refusal_is_told_without_the_rows_that_mlflow_repeats(body: bytes, kept: str) -> None:
    """Its kind and its sentence are kept; data frames, values and tracebacks are not."""
    failure = PROTOCOL.failure(ENDPOINT, _answer(body, 400))
    assert type(failure) is InvalidData
    assert kept in failure.message
    assert len(failure.message) < 400
    for value in ("1.0", "2.0", "31415", "Traceback", "\n"):
        assert value not in failure.message


def test_a_row_that_says_what_mlflow_says_is_not_told_either() -> None:
    """Only what stands behind the last of its marks is its own."""
    frame = "0  Error: Model is missing inputs 31415"
    message = f"Failed to predict data '{frame}'. \nError: Failed to enforce schema of data "
    message += f"'{frame}' with schema '['a': double (required)]'. Error: Something new"
    body = json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": message}).encode()
    failure = PROTOCOL.failure(ENDPOINT, _answer(body, 400))
    assert failure is not None
    assert failure.message.endswith("400: INVALID_PARAMETER_VALUE: Failed to")


def test_a_gateways_error_is_told_as_any_servers() -> None:
    """Where it is not MLflow's own."""
    failure = PROTOCOL.failure(ENDPOINT, _answer(b'{"detail": "no such endpoint"}', 404))
    assert failure is not None
    assert failure.message.endswith("no such endpoint")
