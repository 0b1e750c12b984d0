from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from backbeat.errors import InvalidStep
from backbeat.quality import Expectation, Suite
from backbeat.quality.session import ephemeral_context
from backbeat.quality.suite import INDEX_KEY, gx_expectations


def test_a_suite_survives_json(suite_of: Callable[..., Suite]) -> None:
    """What a suite writes as JSON is the suite again."""
    suite = suite_of(("expect_column_to_exist", {"column": "delay"}))

    assert Suite.model_validate_json(suite.model_dump_json()) == suite


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "x", "expectations": []},
        {"name": "", "expectations": [{"type": "expect_column_to_exist"}]},
        {"name": "x", "expectations": [{"type": "expect_column_to_exist", "severity": "fatal"}]},
        {"name": "x", "expectations": [{"type": "expect_column_to_exist", "columns": "y"}]},
        {"name": "x", "expectations": [{"type": "t", "kwargs": {"a": float("nan")}}]},
    ],
)
def test_what_is_no_suite_is_refused_without_the_library(broken: dict[str, Any]) -> None:
    """An empty suite, a foreign field or a value that is not JSON does not validate."""
    with pytest.raises(ValidationError):
        Suite.model_validate(broken)


def test_a_bare_list_is_a_suite_without_a_name() -> None:
    """As a DAG file would write it."""
    expected = {"type": "expect_column_to_exist", "kwargs": {"column": "delay"}}

    assert Suite.model_validate([expected]) == Suite.model_validate(
        {"name": "unnamed", "expectations": [expected]}
    )


def test_a_file_of_great_expectations_own_is_a_suite() -> None:
    """Its ids, notes and run-time arguments say nothing about data, and change no digest."""
    gx = pytest.importorskip("great_expectations")
    fields = {"severity": "warning"} if "severity" in _base(gx) else {}
    with ephemeral_context() as context:
        exist = gx.expectations.ExpectColumnToExist(column="delay", notes="ask Ana", **fields)
        saved = context.suites.add(gx.ExpectationSuite(name="flights", expectations=[exist]))
        content = saved.to_json_dict()
    assert {"id", "meta"} <= set(content)
    content["expectations"][0]["kwargs"]["result_format"] = "BASIC"

    assert Suite.model_validate(content) == Suite(
        name="flights",
        expectations=(
            Expectation(type="expect_column_to_exist", kwargs={"column": "delay"}, **fields),
        ),
    )


def _base(gx: Any) -> set[str]:
    return set(gx.expectations.Expectation.__fields__)


def test_every_expectation_becomes_the_librarys_own(suite_of: Callable[..., Suite]) -> None:
    """The suite's order, arguments and numbers arrive in Great Expectations' objects."""
    suite = suite_of(
        (
            "expect_column_values_to_be_between",
            {"column": "delay", "min_value": -60, "mostly": 0.9},
        ),
        ("expect_table_row_count_to_be_between", {"min_value": 1}),
    )

    first, second = gx_expectations(suite)

    assert (first.column, first.min_value, first.mostly) == ("delay", -60, 0.9)
    assert (first.meta[INDEX_KEY], second.meta[INDEX_KEY]) == (0, 1)


def test_an_unknown_type_is_named_with_its_neighbour(suite_of: Callable[..., Suite]) -> None:
    """A misspelt type says where it stands and what was probably meant."""
    suite = suite_of(
        ("expect_column_to_exist", {"column": "delay"}),
        ("expect_column_values_to_be_betwen", {"column": "delay"}),
    )

    with pytest.raises(InvalidStep, match="Expectation 2 of suite 'flights'") as caught:
        gx_expectations(suite)

    assert "'expect_column_values_to_be_between'" in caught.value.hint


def test_a_type_like_no_other_says_that_custom_ones_need_importing(
    suite_of: Callable[..., Suite],
) -> None:
    """Where nothing is near, the hint says where types come from."""
    with pytest.raises(InvalidStep) as caught:
        gx_expectations(suite_of(("zzz", {})))

    assert "imported" in caught.value.hint


@pytest.mark.parametrize(
    ("kwargs", "message", "hint"),
    [
        ({"colum": "delay", "min_value": 0}, "does not take 'colum'", "'column'"),
        ({"column": "d", "min_value": 0, "qqq": 1}, "does not take 'qqq'", "It takes column"),
        ({"column": "d", "min_value": 0, "id": "x"}, "does not take 'id'", "It takes"),
        ({"min_value": 0}, "column: field required", "It takes column"),
        ({"column": "d"}, "min_value and max_value cannot both be None", "min_value"),
        ({"column": "d", "min_value": 0, "mostly": 3}, "mostly: ", "mostly"),
    ],
)
def test_foreign_arguments_are_named(
    suite_of: Callable[..., Suite], kwargs: dict[str, Any], message: str, hint: str
) -> None:
    """Arguments that a type does not take are refused with the names that it takes."""
    with pytest.raises(InvalidStep, match=message) as caught:
        gx_expectations(suite_of(("expect_column_values_to_be_between", kwargs)))

    assert "expect_column_values_to_be_between" in caught.value.message
    assert hint in caught.value.hint


def test_an_expectation_speaks() -> None:
    """A sentence is made from type and arguments unless somebody wrote a better one."""
    made = Expectation(
        type="expect_column_values_to_be_in_set",
        kwargs={"column": "carrier", "value_set": ["AA", "UA"]},
    )
    written = made.model_copy(update={"description": "Only carriers we know."})
    long = made.model_copy(update={"kwargs": {"column": "c", "value_set": ["x" * 500]}})

    assert made.sentence == (
        'Column values must be in set (column carrier, value_set ["AA","UA"]).'
    )
    assert written.sentence == "Only carriers we know."
    assert len(long.sentence) < 200
