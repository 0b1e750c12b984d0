"""The Open Inference Protocol by its bytes: what is sent, what is read, what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.errors import (
    BackbeatError,
    ContractBroken,
    InvalidAnswer,
    InvalidData,
    InvalidStep,
    NotFound,
    Overloaded,
    Refused,
    Unreachable,
)
from backbeat.inference.address import parse_address
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Field, ModelInfo
from backbeat.inference.protocols.oip import OpenInference
from backbeat.inference.protocols.oip_messages import MESSAGES
from backbeat.inference.protocols.oip_raw import from_raw, to_raw
from backbeat.inference.protocols.oip_tensors import TYPES, Tensor

OIP = OpenInference()
REST = parse_address("oip+http://h:8000/v2/models/churn/versions/3")
BINARY = parse_address("oip+http://h:8000/v2/models/churn?binary=yes")
GRPC = parse_address("oip+grpc://h:8001/churn/versions/3")
STACKED = ModelInfo(name="churn", inputs=(Field(name="rows", datatype="FP32", shape=(-1, 2)),))
ROWS = pa.record_batch({"a": [1.0, 2.0], "b": [3, 4]})
JSON = {"content-type": "application/json"}


def body(request: Request) -> bytes:
    """All that is sent."""
    return b"".join(bytes(part) for part in request.body)


def answer(outputs: list[dict[str, Any]], **more: Any) -> Response:
    """A good answer in JSON."""
    found = {"model_name": "churn", "model_version": "3", "outputs": outputs, **more}
    return Response(status=200, headers=JSON, body=json.dumps(found).encode())


def test_columns_are_stacked_where_the_model_takes_vectors() -> None:
    """In the order of the batch, in the model's own type, in JSON by default."""
    request = OIP.encode(REST, STACKED, ROWS, {"top_k": 2})
    assert request.url == "http://h:8000/v2/models/churn/versions/3/infer"
    assert json.loads(body(request)) == {
        "parameters": {"top_k": 2},
        "inputs": [
            {"name": "rows", "datatype": "FP32", "shape": [2, 2], "data": [1.0, 3.0, 2.0, 4.0]}
        ],
    }


def test_binary_puts_the_tensors_behind_the_json() -> None:
    """The header says where the JSON ends; the values are little-endian floats."""
    request = OIP.encode(BINARY, STACKED, ROWS, {})
    length = int(request.headers["inference-header-content-length"])
    head, rest = json.loads(body(request)[:length]), body(request)[length:]
    assert head["inputs"][0]["parameters"] == {"binary_data_size": 16}
    assert head["parameters"] == {"binary_data_output": True}
    np.testing.assert_array_equal(np.frombuffer(rest, "<f4"), [1, 3, 2, 4])


def test_grpc_sends_the_same_tensors() -> None:
    """In a message that the protocol's own reads."""
    request = OIP.encode(GRPC, STACKED, ROWS, {"top_k": 2, "name": "x", "on": True, "p": 0.5})
    assert request.url == "/inference.GRPCInferenceService/ModelInfer"
    asked = MESSAGES["ModelInferRequest"].FromString(body(request))
    assert (asked.model_name, asked.model_version) == ("churn", "3")
    np.testing.assert_array_equal(np.frombuffer(asked.raw_input_contents[0], "<f4"), [1, 3, 2, 4])
    assert asked.parameters["top_k"].int64_param == 2
    assert asked.parameters["on"].bool_param is True


def test_inputs_go_by_name_and_what_is_not_asked_for_stays_here() -> None:
    """A model of named columns gets those, as vectors of one where it wants them so."""
    info = ModelInfo(
        inputs=(
            Field(name="b", datatype="INT64", shape=(-1, 1)),
            Field(name="t", datatype="BYTES", shape=(-1,)),
        )
    )
    rows = ROWS.append_column("t", pa.array(["x", "ä"]))
    inputs = json.loads(body(OIP.encode(REST, info, rows, {})))["inputs"]
    assert [(one["name"], one["shape"], one["data"]) for one in inputs] == [
        ("b", [2, 1], [3, 4]),
        ("t", [2], ["x", "ä"]),
    ]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (pa.record_batch({"a": ["x"], "b": [1]}), "'a' is string, and the model takes FP32"),
        (pa.record_batch({"a": [None, 1.0], "b": [1, 2]}), "'a' is null in row 0"),
        (pa.record_batch({"a": [1.0], "b": [2**40 + 1]}), "which FP32 cannot hold"),
        (pa.record_batch({"a": [1e300], "b": [1]}), "which FP32 cannot hold"),
        (pa.record_batch({"a": [1.0], "b": [1], "c": [1]}), "3 columns cannot be 2 features"),
        (pa.record_batch({"a": [float("nan")], "b": [1]}), "NaN or an infinity in row 0"),
    ],
)
def test_rows_that_break_the_contract_are_refused_before_they_are_sent(
    rows: pa.RecordBatch, says: str
) -> None:
    """With the column, the row and what the model takes."""
    with pytest.raises(ContractBroken, match=says):
        OIP.encode(REST, STACKED, rows, {})


def test_bytes_have_a_word_for_nan() -> None:
    """Where JSON has none."""
    rows = pa.record_batch({"a": [float("nan")], "b": [1]})
    assert OIP.encode(BINARY, STACKED, rows, {})
    assert OIP.encode(GRPC, STACKED, rows, {})
    with pytest.raises(ContractBroken) as raised:
        OIP.encode(REST, STACKED, rows, {})
    assert "row 0, value 1 of 2" in raised.value.message
    # what the hint says is what an address takes
    assert BINARY.address.partition("?")[2] in raised.value.hint


def test_an_answer_is_a_column_for_each_output() -> None:
    """Scores are numbers, vectors are lists of one size; the answer names model and version."""
    outputs = [
        {"name": "score", "datatype": "FP64", "shape": [2, 1], "data": [0.5, 0.25]},
        {"name": "p", "datatype": "FP32", "shape": [2, 2], "data": [[0.5, 0.5], [0.25, 0.75]]},
    ]
    found = OIP.decode(REST, STACKED, ROWS, answer(outputs, id="r9"))
    assert found.outputs.to_pydict() == {"score": [0.5, 0.25], "p": [[0.5, 0.5], [0.25, 0.75]]}
    assert (found.model, found.version, found.request_id) == ("churn", "3", "r9")


GOOD = {"name": "s", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]}


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        "no list",
        [{**GOOD, "shape": [3], "data": [1.0, 2.0, 3.0]}],
        [{**GOOD, "data": [1.0]}],
        [{**GOOD, "data": ["x", "y"]}],
        [{**GOOD, "datatype": "BF16"}],
        [GOOD, GOOD],
        [{"name": "s"}],
        [{**GOOD, "data": None}],
        [{**GOOD, "datatype": "INT64", "data": [None, 1]}],
        [{**GOOD, "parameters": {"binary_data_size": 99}}],
        [{**GOOD, "parameters": {"binary_data_size": "x"}}],
    ],
)
def test_an_answer_that_is_not_as_promised_is_refused(outputs: Any) -> None:
    """Never read as something else."""
    with pytest.raises(InvalidAnswer):
        OIP.decode(REST, STACKED, ROWS, answer(outputs))


@pytest.mark.parametrize("cut", [0, 1, 5, 40])
def test_a_cut_binary_answer_is_refused(cut: int) -> None:
    """At any place, and with bytes too many as well."""
    output = {**GOOD, "parameters": {"binary_data_size": 16}}
    del output["data"]
    head = json.dumps({"model_name": "m", "outputs": [output]}).encode()
    whole = head + np.array([1.0, 2.0]).tobytes()
    headers = {"inference-header-content-length": str(len(head))}
    good = OIP.decode(BINARY, STACKED, ROWS, Response(status=200, headers=headers, body=whole))
    assert good.outputs.column(0).to_pylist() == [1.0, 2.0]
    bad = whole[: len(whole) - cut] if cut else whole + b"x"
    with pytest.raises(InvalidAnswer):
        OIP.decode(BINARY, STACKED, ROWS, Response(status=200, headers=headers, body=bad))


def test_a_grpc_answer_is_read_from_bytes_and_from_typed_contents() -> None:
    """Servers send the one or the other."""
    found = MESSAGES["ModelInferResponse"](model_name="churn", model_version="3")
    found.outputs.add(name="s", datatype="FP64", shape=[2])
    typed = MESSAGES["ModelInferResponse"].FromString(found.SerializeToString())
    typed.outputs[0].contents.fp64_contents.extend([1.0, 2.0])
    found.raw_output_contents.append(np.array([1.0, 2.0]).tobytes())
    for message in (found, typed):
        response = Response(status=0, body=message.SerializeToString())
        read = OIP.decode(GRPC, STACKED, ROWS, response)
        assert read.outputs.to_pydict() == {"s": [1.0, 2.0]}
        assert (read.model, read.version) == ("churn", "3")
    with pytest.raises(InvalidAnswer):
        OIP.decode(GRPC, STACKED, ROWS, Response(status=0, body=b"\xff\xff"))


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "", NotFound),
        (400, "bad shape", InvalidData),
        (400, "Model churn is not ready", Overloaded),
        (400, "could not convert string to float: 'not ready'", InvalidData),
        (404, "Request for unknown model: 'churn' has no available versions", Overloaded),
        (404, "Request for unknown model: 'churn' is not found", NotFound),
        (401, "", Refused),
        (429, "", Overloaded),
        (500, "Failed to encode `x` using UTF-8", InvalidData),
        (503, "", Overloaded),
        (500, "", Unreachable),
    ],
)
def test_what_a_status_means(status: int, text: str, kind: type[BackbeatError]) -> None:
    """A model that is starting is no fault of the rows."""
    failure = OIP.failure(REST, Response(status=status, body=text.encode()))
    assert type(failure) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (2, Unreachable),
        (3, InvalidData),
        (5, NotFound),
        (7, Refused),
        (8, Overloaded),
        (11, InvalidData),
        (12, NotFound),
        (13, Unreachable),
        (14, Overloaded),
        (16, Refused),
    ],
)
def test_what_a_status_of_grpc_means(status: int, kind: type[BackbeatError]) -> None:
    """The same errors as over REST."""
    assert type(OIP.failure(GRPC, Response(status=status))) is kind
    assert OIP.failure(GRPC, Response(status=0)) is None


def test_a_model_is_ready_by_its_status_or_its_words() -> None:
    """KServe says so in JSON, Triton by a status, gRPC in a message."""
    assert OIP.read_ready(REST, Response(status=200))
    assert not OIP.read_ready(REST, Response(status=200, body=b'{"ready": false}'))
    assert not OIP.read_ready(REST, Response(status=400))
    assert not OIP.read_ready(REST, Response(status=503))
    with pytest.raises(Refused):
        OIP.read_ready(REST, Response(status=401))
    ready = MESSAGES["ModelReadyResponse"](ready=True).SerializeToString()
    assert OIP.read_ready(GRPC, Response(status=0, body=ready))
    assert not OIP.read_ready(GRPC, Response(status=0))


@pytest.mark.parametrize(
    "address",
    [
        "oip+http://h:1/v1/models/m",
        "oip+http://h:1/v2/models/",
        "oip+http://h:1/v2/models/m?rows=lists",
        "oip+http://h:1/v2/models/m?binary=maybe",
        "oip+grpc://h:1/a/b",
        "oip+grpc://h:1/m?binary=yes",
    ],
)
def test_an_address_that_is_none_of_it_is_refused(address: str) -> None:
    """With one to learn from."""
    with pytest.raises(InvalidStep):
        OIP.check(parse_address(address))


_VALUES: dict[str, Any] = {
    "BOOL": st.booleans(),
    "BYTES": st.binary(max_size=20),
    "FP16": st.floats(width=16, allow_nan=False),
    "FP32": st.floats(width=32, allow_nan=False),
    "FP64": st.floats(allow_nan=False),
    **{
        f"{'U' if low == 0 else ''}INT{bits}": st.integers(
            0 if low == 0 else -(2 ** (bits - 1)), 2 ** (bits if low == 0 else bits - 1) - 1
        )
        for bits in (8, 16, 32, 64)
        for low in (0, 1)
    },
}


@given(st.data(), st.sampled_from(sorted(_VALUES)))
def test_bytes_of_any_tensor_are_its_values_again(data: Any, datatype: str) -> None:
    """Every datatype, empty tensors and empty texts too."""
    values = data.draw(st.lists(_VALUES[datatype], max_size=20))
    kind = TYPES[datatype]
    given_ = np.array(values, np.float16) if datatype == "FP16" else values
    tensor = Tensor("t", datatype, (len(values),), pa.array(given_, kind))
    read = from_raw(GRPC, "t", datatype, (len(values),), memoryview(bytes(to_raw(tensor))))
    assert read.values.to_pylist() == tensor.values.to_pylist()


@given(st.lists(st.binary(max_size=6), min_size=1, max_size=6), st.integers(1, 30))
def test_cut_texts_are_never_read(values: list[bytes], cut: int) -> None:
    """Whatever is missing at the end."""
    tensor = Tensor("t", "BYTES", (len(values),), pa.array(values, pa.large_binary()))
    raw = bytes(to_raw(tensor))
    with pytest.raises(InvalidAnswer):
        from_raw(GRPC, "t", "BYTES", (len(values),), memoryview(raw[: max(0, len(raw) - cut)]))
