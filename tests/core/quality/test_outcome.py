from __future__ import annotations

import datetime as dt
import decimal
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backbeat.canonical import canonical_bytes
from backbeat.quality import Suite
from backbeat.quality.outcome import expectation_result, plain

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.decimals()
    | st.dates()
    | st.datetimes()
    | st.floats().map(np.float64)
    | st.integers(-(2**60), 2**60).map(np.int64)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.integers() | st.text())
    ),
    max_leaves=12,
)


# the table of all characters is made on first use, which a busy machine does slowly
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(values)
def test_whatever_is_observed_has_a_canonical_form(value: Any) -> None:
    """Every value that a metric may return becomes JSON with a digest."""
    assert canonical_bytes(plain(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64("nan"), None),
        (pd.NaT, None),
        (pd.NA, None),
        (float("-inf"), "-Infinity"),
        (np.array([True])[0], True),
        (np.int64(3), 3),
        (np.array([1.5, np.nan]), [1.5, None]),
        (pd.Timestamp("2013-03-01"), "2013-03-01T00:00:00"),
        (dt.date(2013, 3, 1), "2013-03-01"),
        (decimal.Decimal("1.10"), "1.10"),
        ({"b", "a"}, ["a", "b"]),
        ({1: (np.float32(0.5),)}, {"1": [0.5]}),
        ("\ud800", "?"),
        ("NaT", "NaT"),
    ],
)
def test_values_become_the_nearest_json(value: Any, expected: Any) -> None:
    """Each kind of value has one form in JSON."""
    found = plain(value)

    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(json.dumps(found, allow_nan=False)) == expected


def test_long_lists_are_cut() -> None:
    """A result stays small however many values a metric lists."""
    assert plain(range(1000)) == list(range(20))


def test_no_result_is_a_failure(suite_of: Callable[..., Suite]) -> None:
    """An expectation about which Great Expectations said nothing has not passed."""
    expectation = suite_of(("expect_column_to_exist", {"column": "x"})).expectations[0]

    found = expectation_result(expectation, None, rows=3)

    assert not found.success
    assert "no result" in found.detail
