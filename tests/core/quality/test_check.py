from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.canonical import digest
from backbeat.errors import InvalidData, InvalidStep
from backbeat.quality import QualityResult, Suite, check_table

BETWEEN = "expect_column_values_to_be_between"
NOT_NULL = "expect_column_values_to_not_be_null"


def test_a_table_as_expected_passes(flights: Any, suite_of: Callable[..., Suite]) -> None:
    """Where every expectation holds the result is a success on all rows."""
    suite = suite_of(
        (NOT_NULL, {"column": "carrier"}),
        ("expect_column_values_to_be_in_set", {"column": "tail", "value_set": ["N1", "N2", "N3"]}),
        (BETWEEN, {"column": "day", "min_value": "2013-03-01", "max_value": "2013-03-31"}),
        ("expect_column_mean_to_be_between", {"column": "delay", "min_value": 4, "max_value": 5}),
        ("expect_table_row_count_to_equal", {"value": 4}),
        ("expect_column_values_to_be_of_type", {"column": "distance", "type_": "int64"}),
    )

    result = check_table(flights, suite)

    assert result.success
    assert (result.rows, result.failures) == (4, ())
    assert result.summary == "Suite flights: all 6 expectations hold on 4 rows."
    assert result.results[3].observed == pytest.approx(12.5 / 3)


def test_values_out_of_range_fail_with_their_number(
    flights: Any, suite_of: Callable[..., Suite]
) -> None:
    """A broken expectation says how many values break it, and does not repeat them."""
    result = check_table(flights, suite_of((BETWEEN, {"column": "distance", "min_value": 0})))

    failure = result.results[0]
    assert not result.success
    assert (failure.type, failure.column, failure.success) == (BETWEEN, "distance", False)
    assert (failure.unexpected_count, failure.unexpected_percent) == (1, 25.0)
    assert failure.detail == "Unexpected: 1 of 4 (25 %)."
    assert failure.observed is None
    assert "-5" not in result.model_dump_json()


def test_results_keep_the_suites_order(flights: Any, suite_of: Callable[..., Suite]) -> None:
    """However Great Expectations groups its work, results come in the suite's order."""
    pairs: list[tuple[str, dict[str, Any]]] = [
        (BETWEEN, {"column": "distance", "min_value": -10}),
        (NOT_NULL, {"column": "absent"}),
        ("expect_table_row_count_to_equal", {"value": 4}),
        (NOT_NULL, {"column": "carrier"}),
        (NOT_NULL, {"column": "carrier"}),
        (BETWEEN, {"column": "distance", "max_value": 2000}),
    ]

    result = check_table(flights, suite_of(*pairs))

    assert [(item.type, item.column) for item in result.results] == [
        (kind, kwargs.get("column")) for kind, kwargs in pairs
    ]
    assert [item.success for item in result.results] == [True, False, True, True, True, True]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((NOT_NULL, {"column": "absent"}), 'column "absent"'),
        (("expect_column_max_to_be_between", {"column": "absent", "max_value": 1}), "absent"),
        ((BETWEEN, {"column": "carrier", "min_value": 0}), "same type"),
        (("expect_column_values_to_match_regex", {"column": "carrier", "regex": "("}), "missing )"),
    ],
)
def test_what_cannot_be_evaluated_has_failed(
    flights: Any, suite_of: Callable[..., Suite], pair: Any, message: str
) -> None:
    """A missing column or a wrong type never passes, and the reason is the exception's own."""
    result = check_table(flights, suite_of(pair, (NOT_NULL, {"column": "carrier"})))

    failure, other = result.results
    assert not result.success
    assert not failure.success
    assert failure.detail.startswith("It could not be evaluated: ")
    assert message in failure.detail
    assert "Traceback" not in failure.detail
    assert other.success


def test_a_wrong_type_fails_with_the_type_that_is_there(
    flights: Any, suite_of: Callable[..., Suite]
) -> None:
    """A type expectation shows the type that was observed."""
    pair = ("expect_column_values_to_be_of_type", {"column": "delay", "type_": "int64"})

    result = check_table(flights, suite_of(pair))

    assert (result.success, result.results[0].observed) == (False, "float64")
    assert result.results[0].detail == 'Observed: "float64".'


def test_a_column_of_nulls_says_that_nothing_was_checked(
    flights: Any, suite_of: Callable[..., Suite]
) -> None:
    """Nothing but nulls passes as in Great Expectations, but not silently."""
    result = check_table(flights, suite_of((BETWEEN, {"column": "empty", "min_value": 0})))

    assert result.success
    assert "nothing was checked" in result.results[0].detail


def test_a_table_without_rows_is_no_pass(suite_of: Callable[..., Suite]) -> None:
    """A table without rows would satisfy any suite, so it is refused as data."""
    table = pa.table({"delay": pa.array([], pa.float64())})

    with pytest.raises(InvalidData, match="no rows"):
        check_table(ds.dataset(table), suite_of((NOT_NULL, {"column": "delay"})))


def test_a_broken_file_is_refused(tmp_path: Path, suite_of: Callable[..., Suite]) -> None:
    """A file that breaks off in the middle is bad data, not a crash."""
    path = tmp_path / "flights.csv"
    path.write_text("a,b\n1,2\n3\n")
    data = ds.dataset(path, format="csv", schema=pa.schema({"a": pa.int64(), "b": pa.int64()}))

    with pytest.raises(InvalidData, match="cannot be read"):
        check_table(data, suite_of((NOT_NULL, {"column": "a"})))


def test_suite_parameters_are_refused(flights: Any, suite_of: Callable[..., Suite]) -> None:
    """A bound that nobody fills in stops the step rather than passing."""
    bound = {"$PARAMETER": "lowest"}

    with pytest.raises(InvalidStep, match="lowest"):
        check_table(flights, suite_of((BETWEEN, {"column": "delay", "min_value": bound})))


def test_a_severity_is_kept_and_still_fails(flights: Any) -> None:
    """Severity travels with the result; a failed warning is a failure nevertheless."""
    suite = Suite.model_validate(
        {
            "name": "flights",
            "expectations": [
                {"type": NOT_NULL, "kwargs": {"column": "delay"}, "severity": "warning"}
            ],
        }
    )

    result = check_table(flights, suite)

    assert (result.success, result.results[0].severity) == (False, "warning")


def test_an_index_of_the_writer_is_a_column(tmp_path: Path, suite_of: Callable[..., Suite]) -> None:
    """A column that pandas wrote as its index can be expected like any other."""
    import pandas as pd

    frame = pd.DataFrame({"delay": [1.0, 2.0]}, index=pd.Index([7, 8], name="flight"))
    frame.to_parquet(tmp_path / "flights.parquet")

    result = check_table(
        ds.dataset(tmp_path / "flights.parquet"), suite_of((NOT_NULL, {"column": "flight"}))
    )

    assert result.success


def test_results_are_plain_json(suite_of: Callable[..., Suite]) -> None:
    """NaN, infinities, NumPy numbers and times all have a canonical form."""
    table = pa.table(
        {
            "odd": [1.0, float("inf"), float("nan")],
            "null": pa.array([None] * 3, pa.float64()),
            "time": [dt.datetime(2013, 3, day, tzinfo=dt.UTC) for day in (1, 2, 3)],
            "big": [2**60] * 3,
        }
    )
    suite = suite_of(
        ("expect_column_max_to_be_between", {"column": "odd", "min_value": 0}),
        ("expect_column_mean_to_be_between", {"column": "null", "min_value": 0}),
        (
            "expect_column_max_to_be_between",
            {"column": "time", "min_value": "2013-03-01T00:00:00Z"},
        ),
        ("expect_column_max_to_be_between", {"column": "big", "min_value": 0}),
        ("expect_column_stdev_to_be_between", {"column": "odd", "min_value": 0}),
        ("expect_column_most_common_value_to_be_in_set", {"column": "big", "value_set": [2**60]}),
    )

    result = check_table(ds.dataset(table), suite)

    written = result.model_dump(mode="json")
    assert digest(written).startswith("sha256:")
    assert "NaN" not in result.model_dump_json()
    assert [item.observed for item in result.results][:2] == ["Infinity", None]
    assert result.results[2].observed == "2013-03-03T00:00:00+00:00"
    assert QualityResult.model_validate(written) == result


def test_checks_in_threads_do_not_mix(suite_of: Callable[..., Suite]) -> None:
    """Great Expectations has one current context a process: checks in threads wait for it."""
    suite = suite_of((BETWEEN, {"column": "x", "max_value": 100}))

    def unexpected(above: int) -> int | None:
        table = pa.table({"x": [0] * 10 + [1000] * above})
        return check_table(ds.dataset(table), suite).results[0].unexpected_count

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(unexpected, range(8))) == list(range(8))
