"""Answers of the Open Inference Protocol that are not as promised, and odd ones that are."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.errors import InvalidAnswer
from backbeat.inference.address import parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocol import ModelInfo
from backbeat.inference.protocols.oip import OpenInference
from backbeat.inference.protocols.oip_json import head, json_data, read_tensor
from backbeat.inference.protocols.oip_messages import MESSAGES
from backbeat.inference.protocols.oip_tensors import TYPES, Tensor, as_columns, numpy_type

OIP = OpenInference()
REST = parse_address("oip+http://h:8000/v2/models/churn")
GRPC = parse_address("oip+grpc://h:8001/churn")
INFO = ModelInfo()
ROWS = pa.record_batch({"a": [1.0, 2.0]})
JSON = {"content-type": "application/json"}
LENGTH = "inference-header-content-length"
GOOD = {"name": "s", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]}


def _read(body: Any, headers: dict[str, str] = JSON) -> pa.RecordBatch:
    found = body if isinstance(body, bytes) else json.dumps(body).encode()
    return OIP.decode(REST, INFO, ROWS, Response(status=200, headers=headers, body=found)).outputs


@pytest.mark.parametrize(
    "output",
    [
        {**GOOD, "shape": [2, -1, -1]},
        {**GOOD, "shape": [2, 1e999]},
        {**GOOD, "shape": [2, 0, 2**40], "data": []},
        {**GOOD, "shape": [2, 2**31 - 1, 0], "data": []},
        {**GOOD, "shape": [], "data": [1.0]},
        {**GOOD, "data": [[1.0], 2.0]},
        {**GOOD, "datatype": "BYTES", "data": [["x"], "y"]},
        {**GOOD, "datatype": "FP32", "data": [1e300, 1.0]},
        {**GOOD, "datatype": "FP16", "data": [70000.0, 1.0]},
        {**GOOD, "datatype": "INT8", "data": [300, 1]},
        {**GOOD, "datatype": "INT8", "data": [1.5, 1]},
        {**GOOD, "datatype": "BOOL", "data": [1, 0]},
        {**GOOD, "datatype": "BYTES", "data": ["x", None]},
        {**GOOD, "parameters": {"binary_data_size": True}},
    ],
)
def test_an_output_that_contradicts_itself_is_refused(output: dict[str, Any]) -> None:
    """Shape, datatype and values must agree; a size of 0 hides no other one."""
    with pytest.raises(InvalidAnswer):
        _read({"outputs": [output]})


@pytest.mark.parametrize("length", ["-1", "x", "", "9" * 5000, "\u0663", "1", "999"])
def test_a_header_that_does_not_say_where_the_json_ends_is_refused(length: str) -> None:
    """Whatever stands there."""
    with pytest.raises(InvalidAnswer):
        _read({"outputs": [GOOD]}, {LENGTH: length})


@pytest.mark.parametrize("parameters", [None, {}, {"content_type": "np"}, [], "x", 3])
def test_parameters_of_an_output_are_not_asked_for_more_than_its_size(parameters: Any) -> None:
    """KServe writes null there, MLServer a content type."""
    assert _read({"outputs": [{**GOOD, "parameters": parameters}]})["s"].to_pylist() == [1.0, 2.0]


def test_null_is_nan_where_numbers_have_it() -> None:
    """KServe and MLServer write NaN so."""
    score = _read({"outputs": [{**GOOD, "data": [None, 2.0]}]})["s"]
    assert score.null_count == 0
    assert np.isnan(score[0].as_py())


@pytest.mark.parametrize("shape", [(2, 0), (2, 0, 3), (2, 3, 0)])
def test_an_output_of_no_values_has_its_rows(shape: tuple[int, ...]) -> None:
    """A model that found nothing in two pictures said so about both of them."""
    empty = Tensor("boxes", "FP32", shape, pa.array([], pa.float32()))
    boxes = as_columns(REST, (), [empty], 2).column("boxes")
    kind, sizes = boxes.type, []
    while pa.types.is_fixed_size_list(kind):
        sizes.append(kind.list_size)
        kind = kind.value_type
    assert (len(boxes), *sizes) == shape
    boxes.validate(full=True)


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": "m", "versions": 3},
        {"name": "m", "versions": {"1": "2"}},
        {"name": "m", "inputs": 3},
        {"name": "m", "inputs": [{"name": "a", "datatype": "FP32", "shape": [1e999]}]},
        {"name": "m", "outputs": [{"name": "a"}]},
        {"versions": ["1"]},
        [],
    ],
)
def test_metadata_that_is_none_is_refused(metadata: Any) -> None:
    """A server that describes its model in other words is not guessed at."""
    body = json.dumps(metadata).encode()
    with pytest.raises(InvalidAnswer):
        OIP.read_description(REST, Response(status=200, headers=JSON, body=body))


def test_a_login_page_is_no_ready_model() -> None:
    """A good status of a proxy is not a model's."""
    page = Response(status=200, headers={"content-type": "text/html"}, body=b"<html>")
    with pytest.raises(InvalidAnswer):
        OIP.read_ready(REST, page)


_ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([2**31, 2**64, 10**400])
    | st.floats()
    | st.sampled_from(["", "s", "FP64", "BYTES", "INT8", "BOOL"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "binary_data_size"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.just("s") | _ODD,
            "datatype": st.sampled_from([*TYPES, "BF16"]) | _ODD,
            "shape": st.sampled_from([[2], [2, 1], [2, -1, -1], [2, 0]]) | _ODD,
            "data": st.lists(st.integers() | st.floats() | st.text(), max_size=2) | _ODD,
            "parameters": _ODD,
        },
    ),
    _ODD,
    st.binary(max_size=20),
)
def test_no_answer_in_json_is_anything_but_rows_or_invalid(
    output: dict[str, Any], other: Any, rest: bytes
) -> None:
    """Two rows or InvalidAnswer, whatever a server makes up, with bytes behind it or without."""
    said = json.dumps({"outputs": [output], "id": other, "model_version": other}).encode()
    for body, headers in ((said, JSON), (said + rest, {LENGTH: str(len(said))})):
        with suppress(InvalidAnswer):
            assert _read(body, headers).num_rows == 2
    with suppress(InvalidAnswer):
        metadata = json.dumps({"name": other, "versions": other, "inputs": [output, other]})
        OIP.read_description(REST, Response(status=200, headers=JSON, body=metadata.encode()))


@given(st.data())
def test_no_answer_in_protobuf_is_anything_but_rows_or_invalid(data: st.DataObject) -> None:
    """Of bytes that are nearly an answer too."""
    message = MESSAGES["ModelInferResponse"](model_name="churn")
    sizes = st.sampled_from([0, 1, 2, -1, 2**33, 2**62])
    shape = [2, *data.draw(st.lists(sizes, max_size=3))]
    output = message.outputs.add(
        name="s", datatype=data.draw(st.sampled_from([*TYPES, "BF16", ""])), shape=shape
    )
    output.contents.fp64_contents.extend(data.draw(st.lists(st.floats(), max_size=3)))
    output.contents.int_contents.extend(
        data.draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3))
    )
    message.raw_output_contents.extend(data.draw(st.lists(st.binary(max_size=20), max_size=2)))
    body = bytearray(message.SerializeToString())
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(0, 255))
    with suppress(InvalidAnswer):
        read = OIP.decode(GRPC, INFO, ROWS, Response(status=0, body=bytes(body)))
        assert read.outputs.num_rows == 2


@given(st.data(), st.sampled_from(sorted(set(TYPES) - {"BYTES"})))
def test_json_of_any_tensor_of_numbers_is_its_values_again(
    data: st.DataObject, datatype: str
) -> None:
    """To the last bit, in the datatype that was said."""
    raw = data.draw(st.binary(min_size=64, max_size=64))
    kind = numpy_type(datatype)
    numbers = np.frombuffer(raw, np.uint8) > 127 if datatype == "BOOL" else np.frombuffer(raw, kind)
    if numbers.dtype.kind == "f":
        numbers = numbers[np.isfinite(numbers)]
    tensor = Tensor("t", datatype, (len(numbers),), pa.array(numbers, TYPES[datatype]))
    said = json.loads(head([json_data(tensor)], {}, binary=False))
    assert read_tensor(REST, said["inputs"][0]) == tensor
