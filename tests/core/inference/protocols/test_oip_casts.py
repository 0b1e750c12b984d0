"""A column as the datatype that a model asks for: the same values, or none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.errors import ContractBroken
from backbeat.inference.protocol import Field, ModelInfo
from backbeat.inference.protocols.oip_casts import as_datatype
from backbeat.inference.protocols.oip_inputs import as_tensors
from backbeat.inference.protocols.oip_tensors import TYPES, Tensor

NAN = float("nan")


def _taken(column: pa.Array, datatype: str, shape: tuple[int, ...] = (-1,)) -> Tensor:
    info = ModelInfo(inputs=(Field(name="x", datatype=datatype, shape=shape),))
    (tensor,) = as_tensors(info, pa.record_batch({"x": column}))
    return tensor


@pytest.mark.parametrize(
    ("column", "datatype"),
    [
        (pa.array([1, 255], pa.int64()), "UINT8"),
        (pa.array([1, 2**24], pa.int64()), "FP32"),
        (pa.array([-(2**53), 2**53], pa.int64()), "FP64"),
        (pa.array([1.0, -3.0]), "INT64"),
        (pa.array([0.5, NAN, float("inf")]), "FP32"),
        (pa.array(np.array([0.5, 2.0], np.float16)), "FP64"),
        (pa.array([True, False]), "INT8"),
        (pa.array([True, False]), "FP32"),
        (pa.array(["x", "ä"]), "BYTES"),
        (pa.array(["x", "ä"], pa.large_string()), "BYTES"),
        (pa.array([b"ab", b"\xff\x00"], pa.binary(2)), "BYTES"),
        (pa.array(["x", "ä", "x"]).dictionary_encode(), "BYTES"),
        (pa.array([1, 2, 1]).dictionary_encode(), "INT32"),
    ],
)
def test_a_value_that_the_datatype_holds_is_the_same_there(column: pa.Array, datatype: str) -> None:
    """Fewer bits, a whole number as a float, text as bytes."""
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    expected = [x.encode() if isinstance(x, str) else x for x in plain.to_pylist()]
    np.testing.assert_array_equal(_taken(column, datatype).values.to_pylist(), expected)


@pytest.mark.parametrize(
    ("column", "datatype", "says"),
    [
        (pa.array([1, 256]), "UINT8", "256"),
        (pa.array([-1, 2]), "UINT64", "-1"),
        (pa.array([1, 2**24 + 1]), "FP32", "row 1, which FP32 cannot hold"),
        (pa.array([1, 2**53 + 1]), "FP64", "row 1, which FP64 cannot hold"),
        (pa.array([0, 2**64 - 1], pa.uint64()), "FP64", "row 1"),
        (pa.array([1.0, 70000.0]), "FP16", "row 1, which FP16 cannot hold"),
        (pa.array([0.5, 1.0]), "INT64", "INT64 cannot"),
        (pa.array([NAN, 1.0]), "INT64", "INT64 cannot"),
        (pa.array([1, 0]), "BOOL", "'x' is int64, and the model takes BOOL"),
        (pa.array([1.0, 0.0]), "BYTES", "'x' is double, and the model takes BYTES"),
        (pa.array(["1", "2"]), "FP32", "'x' is string, and the model takes FP32"),
        (pa.array([1.0, 2.0]), "BF16", "the model takes BF16"),
        (pa.array([1, 2], pa.timestamp("s")), "INT64", "the model takes INT64"),
        (pa.array([1.0, None]), "FP64", "'x' is null in row 1"),
        (pa.nulls(2), "FP64", "'x' is null in row 0"),
        (pa.array(["x", None]), "BYTES", "'x' is null in row 1"),
    ],
)
def test_a_value_that_would_be_another_one_is_refused(
    column: pa.Array, datatype: str, says: str
) -> None:
    """With the column and, where one value is the reason, its row."""
    with pytest.raises(ContractBroken, match=says):
        _taken(column, datatype)


@pytest.mark.parametrize(
    ("column", "declared", "sent"),
    [
        (pa.array([1.0, 2.0]), (-1, 1), (2, 1)),
        (pa.array([1.0, 2.0]), (-1, -1), (2, 1)),
        (pa.array([[1.0, 2.0], [3.0, 4.0]]), (-1, 2), (2, 2)),
        (pa.array([[1.0, 2.0], [3.0, 4.0]]), (-1, -1), (2, 2)),
        (pa.array([[1.0] * 6] * 2, pa.list_(pa.float64(), 6)), (-1, 2, 3), (2, 2, 3)),
        (pa.array([[[1.0], [2.0]], [[3.0], [4.0]]]), (-1, 2, 1), (2, 2, 1)),
        (pa.array([[], []], pa.list_(pa.float64(), 0)), (-1, -1), (2, 0)),
    ],
)
def test_a_row_has_the_shape_that_the_model_declares(
    column: pa.Array, declared: tuple[int, ...], sent: tuple[int, ...]
) -> None:
    """Lists of one size are vectors; a flat list is a picture of as many values."""
    assert _taken(column, "FP64", declared).shape == sent


@pytest.mark.parametrize(
    ("column", "declared", "says"),
    [
        (pa.array([[1.0], [2.0, 3.0]]), (-1, -1), "in row 1, of 2"),
        (pa.array([[1.0, 2.0], None]), (-1, 2), "null in row 1"),
        (pa.array([[1.0, None], [1.0, 2.0]]), (-1, 2), "null in row 0"),
        (pa.array([[1.0, 2.0], [3.0, 4.0]]), (-1, 3), "rows of size"),
        (pa.array([[1.0, 2.0], [3.0, 4.0]]), (-1,), "rows of size"),
        (pa.array([1.0, 2.0]), (3, 1), "there are 2 rows"),
    ],
)
def test_a_row_of_another_shape_is_refused(
    column: pa.Array, declared: tuple[int, ...], says: str
) -> None:
    """Before it is sent, with what is known about it."""
    with pytest.raises(ContractBroken, match=says):
        _taken(column, "FP64", declared)


def test_a_slice_of_lists_is_its_own_values() -> None:
    """And none of what it was cut from."""
    lists = pa.array([[float(n), n + 0.5] for n in range(9)], pa.list_(pa.float64(), 2))
    assert _taken(lists.slice(4, 2), "FP64", (-1, 2)).values.to_pylist() == [4.0, 4.5, 5.0, 5.5]


def test_values_of_the_models_own_type_are_not_copied() -> None:
    """A gigabyte of pictures stays where Arrow has it."""
    lists = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64(), 2))
    sent = _taken(lists, "FP64", (-1, 2)).values
    assert sent.buffers()[1].address == lists.values.buffers()[1].address


@given(
    st.lists(
        st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**24, 2**24 + 1, 2**53, 2**53 + 1]),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(sorted(set(TYPES) - {"BOOL", "BYTES"})),
)
def test_no_whole_number_becomes_another_one(values: list[int], datatype: str) -> None:
    """Sent as it is, or refused."""
    try:
        sent = as_datatype(pa.array(values, pa.int64()), datatype, "x", 1)
    except ContractBroken:
        return
    as_sent: list[Any] = sent.to_pylist()
    assert [int(value) for value in as_sent] == values
