"""Answers in JSON as rows."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.errors import InvalidAnswer
from backbeat.inference.address import parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocols.json_answers import as_outputs, read_json

ENDPOINT = parse_address("ray-serve+http://127.0.0.1:8000/churn")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("value", "outputs"),
    [
        ([1, 2], pa.record_batch({"prediction": [1, 2]})),
        ([1, 0.5], pa.record_batch({"prediction": [1.0, 0.5]})),
        (["a", None], pa.record_batch({"prediction": ["a", None]})),
        ([None, None], pa.record_batch({"prediction": pa.nulls(2, pa.float64())})),
        (
            [[1.0, 2.0], [3.0, 4.0]],
            pa.record_batch(
                {"prediction": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64(), 2))}
            ),
        ),
        (
            [[[1], [2]], [[3], [4]]],
            pa.record_batch(
                {
                    "prediction": pa.array(
                        [[[1], [2]], [[3], [4]]], pa.list_(pa.list_(pa.int64(), 1), 2)
                    )
                }
            ),
        ),
        ([[1], [2, 3]], pa.record_batch({"prediction": [[1], [2, 3]]})),
        ([{"p": 1, "q": "a"}, {"p": 2, "q": "b"}], pa.record_batch({"p": [1, 2], "q": ["a", "b"]})),
        ({"p": [1, 2], "q": [0.5, 1.5]}, pa.record_batch({"p": [1, 2], "q": [0.5, 1.5]})),
    ],
)
def test_predictions_become_columns(value: object, outputs: pa.RecordBatch) -> None:
    """Values, vectors, records or an object of lists; vectors of one length are FixedSizeLists."""
    assert as_outputs(ENDPOINT, value, 2).equals(outputs)


@pytest.mark.parametrize(
    "value",
    [
        [1],
        [1, 2, 3],
        [],
        {},
        [{}, {}],
        {"p": [1]},
        {"p": [1, 2], "q": [1]},
        {"p": 1},
        [{"p": 1}, {"q": 1}],
        [{"p": 1}, 1],
        [1, {"p": 1}],
        [1, "a"],
        [[1], 1],
        [10**30, 1],
        ["\ud800", ""],
        "ab",
        None,
    ],
)
def test_what_is_not_one_prediction_a_row_is_invalid(value: object) -> None:
    """Nothing is guessed, and no row is left out or made up."""
    with pytest.raises(InvalidAnswer):
        as_outputs(ENDPOINT, value, 2)


@given(JSON, st.integers(0, 3))
def test_whatever_json_comes_it_is_as_many_rows_or_invalid(value: object, rows: int) -> None:
    """No answer of a server raises anything else."""
    try:
        outputs = as_outputs(ENDPOINT, value, rows)
    except InvalidAnswer:
        return
    assert outputs.num_rows == rows


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_bytes_come_they_are_json_or_invalid(body: bytes) -> None:
    """No bytes of a server raise anything else."""
    try:
        read_json(ENDPOINT, Response(status=200, body=body))
    except InvalidAnswer:
        return


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "application/problem+json", ""]
)
def test_json_may_be_called_so_in_several_ways(kind: str) -> None:
    """Or not be called anything."""
    assert read_json(
        ENDPOINT, Response(status=200, headers={"content-type": kind}, body=b"[1]")
    ) == [1]
