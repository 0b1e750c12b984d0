"""The Open Inference Protocol over gRPC, by its bytes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from backbeat.errors import InvalidAnswer, InvalidData, InvalidStep, Overloaded
from backbeat.inference.address import parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocol import Field, ModelInfo
from backbeat.inference.protocols.oip import OpenInference
from backbeat.inference.protocols.oip_messages import MESSAGES

OIP = OpenInference()
GRPC = parse_address("oip+grpc://h:8001/churn")
ROWS = pa.record_batch({"a": [1.0, 2.0]})


def _run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)  # noqa: PLW1510 - stderr is what a failure shows
    assert done.returncode == 0, done.stderr
    return done.stdout


_FOREIGN = """
from google.protobuf import descriptor_pb2, descriptor_pool
file = descriptor_pb2.FileDescriptorProto(name="service.proto", package="inference")
for name in ("ModelInferRequest", "ModelReadyRequest", "InferParameter"):
    file.message_type.add(name=name)
"""
_REGISTER = "descriptor_pool.Default().AddSerializedFile(file.SerializeToString())\n"
_OURS = "from backbeat.inference.protocols.oip_messages import MESSAGES\n"


@pytest.mark.parametrize("program", [_REGISTER + _OURS, _OURS + _REGISTER])
def test_stubs_of_others_can_be_in_the_same_process(program: str) -> None:
    """Those of Triton or KServe, before ours or after."""
    ours = "print(MESSAGES['ModelInferRequest'](model_name='m').SerializeToString())"
    assert _run(_FOREIGN + program + ours).strip() == r"b'\n\x01m'"


def test_without_protobuf_the_extra_is_named() -> None:
    """Not an ImportError from somewhere within."""
    said = _run(
        "import sys\n"
        "sys.modules['google.protobuf'] = None\n"
        "from backbeat.errors import UnmetNeed\n"
        "from backbeat.inference.address import parse_address\n"
        "from backbeat.inference.protocols import protocol_named\n"
        "try:\n"
        "    protocol_named('oip').ready(parse_address('oip+grpc://h:1/m'))\n"
        "except UnmetNeed as error:\n"
        "    print(error)\n"
    )
    assert 'install "backbeat[grpc]"' in said


@pytest.mark.parametrize(
    ("datatype", "where", "values", "read"),
    [
        ("BOOL", "bool_contents", [True, False], [True, False]),
        ("INT8", "int_contents", [-128, 127], [-128, 127]),
        ("INT16", "int_contents", [-(2**15), 1], [-(2**15), 1]),
        ("INT32", "int_contents", [-(2**31), 1], [-(2**31), 1]),
        ("INT64", "int64_contents", [-(2**63), 1], [-(2**63), 1]),
        ("UINT8", "uint_contents", [255, 1], [255, 1]),
        ("UINT16", "uint_contents", [2**16 - 1, 1], [2**16 - 1, 1]),
        ("UINT32", "uint_contents", [2**32 - 1, 1], [2**32 - 1, 1]),
        ("UINT64", "uint64_contents", [2**64 - 1, 1], [2**64 - 1, 1]),
        ("FP32", "fp32_contents", [0.5, 1.0], [0.5, 1.0]),
        ("FP64", "fp64_contents", [0.1, 1.0], [0.1, 1.0]),
        ("BYTES", "bytes_contents", ["ä".encode(), b""], ["ä", ""]),
        ("BYTES", "bytes_contents", [b"\xff", b""], [b"\xff", b""]),
    ],
)
def test_typed_contents_of_every_datatype_are_read(
    datatype: str, where: str, values: list[object], read: list[object]
) -> None:
    """A server need not send bytes."""
    message = MESSAGES["ModelInferResponse"]()
    output = message.outputs.add(name="s", datatype=datatype, shape=[2])
    getattr(output.contents, where).extend(values)
    response = Response(status=0, body=message.SerializeToString())
    answer = OIP.decode(GRPC, ModelInfo(), ROWS, response)
    assert answer.outputs.to_pydict() == {"s": read}


@pytest.mark.parametrize(
    ("datatype", "where", "values"),
    [
        ("INT8", "int_contents", [128, 0]),
        ("UINT8", "uint_contents", [256, 0]),
        ("FP16", "fp32_contents", [0.5, 1.0]),
        ("FP64", "fp32_contents", [0.5, 1.0]),
        ("INT64", "int64_contents", [1]),
        ("BF16", "bytes_contents", [b"ab", b"cd"]),
    ],
)
def test_contents_that_are_not_of_their_datatype_are_refused(
    datatype: str, where: str, values: list[object]
) -> None:
    """Too large for it, in another's place, or too few."""
    message = MESSAGES["ModelInferResponse"]()
    output = message.outputs.add(name="s", datatype=datatype, shape=[2])
    getattr(output.contents, where).extend(values)
    with pytest.raises(InvalidAnswer):
        OIP.decode(GRPC, ModelInfo(), ROWS, Response(status=0, body=message.SerializeToString()))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 2047, 2048, 300_000])
def test_tensors_of_any_length_follow_the_message(count: int) -> None:
    """Their lengths are written as protobuf's, which take one byte or several."""
    values = np.arange(count, dtype=np.float64)
    rows = pa.record_batch(
        {"a": values, "t": pa.array([str(n) for n in range(count)], pa.string())}
    )
    asked = MESSAGES["ModelInferRequest"].FromString(
        b"".join(bytes(part) for part in OIP.encode(GRPC, ModelInfo(), rows, {}).body)
    )
    assert [tuple(tensor.shape) for tensor in asked.inputs] == [(count,), (count,)]
    np.testing.assert_array_equal(np.frombuffer(asked.raw_input_contents[0]), values)
    assert len(asked.raw_input_contents) == 2


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, 2**63, b"x"])
def test_a_parameter_that_the_protocol_has_no_place_for_is_refused(value: object) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidStep, match="'p'"):
        OIP.encode(GRPC, ModelInfo(), ROWS, {"p": value})


def test_metadata_is_read() -> None:
    """Names, datatypes and shapes; a version where there is one alone."""
    message = MESSAGES["ModelMetadataResponse"](name="churn", versions=["3"], platform="python")
    message.inputs.add(name="rows", datatype="FP64", shape=[-1, 4])
    message.outputs.add(name="score", datatype="FP32", shape=[-1, 1])
    info = OIP.read_description(GRPC, Response(status=0, body=message.SerializeToString()))
    assert (info.name, info.version) == ("churn", "3")
    assert info.inputs == (Field(name="rows", datatype="FP64", shape=(-1, 4)),)
    assert info.outputs == (Field(name="score", datatype="FP32", shape=(-1, 1)),)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (5, "Request for unknown model: 'churn' has no available versions", Overloaded),
        (14, "Model churn is not ready", Overloaded),
        (8, "SERVER: Received message larger than max (6400032 vs. 4194304)", InvalidData),
        (8, "too many requests", Overloaded),
        (3, "unexpected shape for input 'rows' for model 'churn'", InvalidData),
    ],
)
def test_a_message_tells_a_status_of_two_meanings_apart(
    status: int, message: str, kind: type[Exception]
) -> None:
    """Recorded from Triton 2.51 and MLServer 1.7."""
    response = Response(status=status, headers={"grpc-message": message})
    failure = OIP.failure(GRPC, response)
    assert type(failure) is kind
    assert message[:40] in str(failure)


def test_a_server_says_when_to_ask_again() -> None:
    """In gRPC's own words, which are milliseconds."""
    response = Response(status=14, headers={"grpc-retry-pushback-ms": "1500"})
    failure = OIP.failure(GRPC, response)
    assert failure is not None
    assert failure.retry_after == 1.5
