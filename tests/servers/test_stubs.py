"""Our messages beside the stubs that the servers' own packages bring, in one process of theirs."""

from __future__ import annotations

import os
import subprocess

import pytest
from serving import ROOT, environment

_PROGRAM = """
import importlib, sys
theirs = importlib.import_module(sys.argv[1])
from backbeat.inference.protocols.oip_messages import MESSAGES
asked = MESSAGES["ModelInferRequest"](model_name="churn", model_version="3")
asked.parameters["top_k"].int64_param = 2
asked.inputs.add(name="rows", datatype="FP32", shape=[2, -1])
asked.raw_input_contents.append(b"1234")
read = theirs.ModelInferRequest.FromString(asked.SerializeToString())
assert (read.model_name, read.model_version) == ("churn", "3")
assert (read.inputs[0].datatype, list(read.inputs[0].shape)) == ("FP32", [2, -1])
assert read.parameters["top_k"].int64_param == 2
assert list(read.raw_input_contents) == [b"1234"]
assert MESSAGES["ModelInferRequest"].FromString(read.SerializeToString()) == asked
described = theirs.ModelMetadataResponse(name="churn", versions=["3"])
described.inputs.add(name="rows", datatype="FP32", shape=[-1, 4])
found = MESSAGES["ModelMetadataResponse"].FromString(described.SerializeToString())
assert list(found.inputs[0].shape) == [-1, 4]
"""


@pytest.mark.parametrize(
    ("server", "stubs"),
    [
        ("triton", "tritonclient.grpc.service_pb2"),
        ("mlserver", "mlserver.grpc.dataplane_pb2"),
        ("kserve", "kserve.protocol.grpc.grpc_predict_v2_pb2"),
    ],
)
def test_our_messages_are_those_of_the_servers_stubs(server: str, stubs: str) -> None:
    """The same bytes, and no clash of names; the stubs among themselves do clash."""
    if not (environment(server) / ".ready").exists():
        pytest.skip(f"{server} is not installed: make servers SERVERS={server}")
    done = subprocess.run(  # noqa: PLW1510 - stderr is what a failure shows
        [environment(server) / "bin" / "python", "-c", _PROGRAM, stubs],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
