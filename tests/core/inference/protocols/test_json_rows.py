"""Rows as JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from backbeat.errors import ContractBroken
from backbeat.inference.protocols.json_rows import as_lists, as_records, json_request

URL = "http://127.0.0.1/"


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([1, None], pa.int64()), [1, None]),
        (pa.array([2**63 - 1, 0], pa.int64()), [2**63 - 1, 0]),
        (pa.array([0.5, 1.5], pa.float16()), [0.5, 1.5]),
        (pa.array([0.1, 1e300]), [0.1, 1e300]),
        (pa.array([True, False]), [True, False]),
        (pa.array([True, None]), [True, None]),
        (pa.array(["ü", "\u2028"]), ["ü", "\u2028"]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        (pa.array([b"\x00\xff", None]), [{"b64": "AP8="}, None]),
        (pa.array([[1, 2], [3]]), [[1, 2], [3]]),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), [[1, 2], None]),
        (
            pa.array([[b"\xff"], [b""]], pa.list_(pa.binary(), 1)),
            [[{"b64": "/w=="}], [{"b64": ""}]],
        ),
        (pa.array([{"x": 1}, {"x": 2}]), [{"x": 1}, {"x": 2}]),
        (pa.array([date(2013, 6, 14), None]), ["2013-06-14", None]),
        (
            pa.array(
                [datetime(2013, 6, 14, 5, 30, tzinfo=UTC)] * 2,
                pa.timestamp("s", "America/New_York"),
            ),
            ["2013-06-14T05:30:00Z"] * 2,
        ),
        (
            pa.array([datetime(2013, 6, 14, 5, 30, 0, 250000)] * 2, pa.timestamp("ms")),  # noqa: DTZ001 - a clock without a zone is what is sent
            ["2013-06-14T05:30:00.250"] * 2,
        ),
        (pa.nulls(2), [None, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_column_becomes_what_json_has_for_it(column: pa.Array, values: list[object]) -> None:
    """Numbers as they are, bytes as base64, moments as RFC 3339 has them; nulls are null."""
    rows = pa.record_batch({"x": column, "y": [1, 2]})
    sent = json_request(URL, as_records(rows), rows)
    assert json.loads(b"".join(sent.body)) == [
        {"x": values[0], "y": 1},
        {"x": values[1], "y": 2},
    ]
    assert sent.headers["content-type"] == "application/json"


def test_a_slice_is_sent_without_its_neighbours() -> None:
    """Offsets of vectors are respected."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(range(8)), 2)
    assert as_lists(pa.record_batch({"x": vectors}).slice(1, 2)) == [[2, 3], [4, 5]]


def test_vectors_without_elements_stay_rows() -> None:
    """As many rows go out as came in."""
    vectors = pa.array([[], []], pa.list_(pa.float64(), 0))
    assert as_lists(pa.record_batch({"x": vectors})) == [[], []]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([Decimal("1.5")]),
        pa.array([1], pa.duration("s")),
        pa.array([1], pa.time32("s")),
    ],
)
def test_a_type_without_a_form_in_json_is_refused(column: pa.Array) -> None:
    """The column is named; nothing is rounded without being asked."""
    with pytest.raises(ContractBroken, match="'x'"):
        as_records(pa.record_batch({"x": column}))


@pytest.mark.parametrize("value", [math.nan, math.inf, [1.0, -math.inf], {"deep": [math.nan]}])
def test_nan_and_infinities_are_refused_with_column_and_row(value: object) -> None:
    """JSON has no word for them, and what servers make of them differs."""
    good = {float: 1.0, list: [1.0], dict: {"deep": [1.0]}}[type(value)]
    rows = pa.record_batch({"a": [1.0, 2.0], "x": [good, value]})
    records = as_records(rows)
    with pytest.raises(ContractBroken, match="'x' holds NaN or an infinity in row 1"):
        json_request(URL, records, rows)


def test_a_parameter_that_is_no_json_is_refused() -> None:
    """Although the rows are fine."""
    rows = pa.record_batch({"a": [1.0]})
    for parameter in (math.nan, object()):
        with pytest.raises(ContractBroken, match="parameters"):
            json_request(URL, {"rows": as_lists(rows), "parameter": parameter}, rows)


def test_records_need_different_names() -> None:
    """One of two columns of a name would be lost."""
    rows = pa.record_batch([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert as_lists(rows) == [[1, 2]]
    with pytest.raises(ContractBroken, match="a"):
        as_records(rows)
