"""Checking a table against a suite of expectations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbeat.errors import InvalidData, InvalidStep
from backbeat.quality.context import read_suite
from backbeat.quality.outcome import expectation_result
from backbeat.quality.result import QualityResult
from backbeat.quality.session import ephemeral_context
from backbeat.quality.suite import INDEX_KEY, Suite, gx_expectations

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

__all__ = ["check_table", "check_with_context"]

_NAME = "table"


def check_table(data: Dataset, suite: Suite) -> QualityResult:
    """Check a table against a suite, with a Great Expectations context in memory.

    The batch is a pandas frame: the whole table is held in memory, about twice while it is
    converted. Columns have pandas' usual types: integers with nulls are `float64`, days are
    `datetime.date` objects, and null and NaN are the same.

    An expectation that Great Expectations could not evaluate (a missing column, values of another
    type) has failed, with the exception's message as its `detail`. One over a column that holds
    nothing but nulls passes, as in Great Expectations, and its `detail` says so: expect values not
    to be null where that matters.

    Args:
        data: The table, at least one row.
        suite: What is expected of it.

    Returns:
        The result, one entry an expectation in the suite's order.

    Raises:
        InvalidData: The table has no rows, in which every value is as expected, or cannot be read.
        InvalidStep: An unknown type of expectation, or arguments that it does not take.
        UnmetNeed: Great Expectations is not installed. A retry helps with none of these.
    """
    rows = _count(data)
    if rows == 0:
        raise InvalidData(
            f"The table has no rows, so suite {suite.name!r} would hold for it whatever it says.",
            hint="Look at what wrote the table, and at the day or partition that was asked for.",
        )
    with ephemeral_context() as context:
        expectations = gx_expectations(suite)
        outcomes = _validated(context, data, expectations, suite.name)
    results = tuple(
        expectation_result(expectation, outcomes.get(place), rows=rows)
        for place, expectation in enumerate(suite.expectations)
    )
    return QualityResult(
        success=all(result.success for result in results),
        suite=suite.name,
        rows=rows,
        results=results,
    )


def check_with_context(data: Dataset, *, context_root: Path, suite_name: str) -> QualityResult:
    """Check a table against a suite that a Great Expectations folder holds.

    The folder is only read; results, data docs and ids are not written into it. Its suite
    parameters are not filled, and custom expectations must have been imported by the caller.

    Args:
        data: The table, at least one row; see `check_table`.
        context_root: The folder of `great_expectations.yml`.
        suite_name: The suite's name in that folder.

    Returns:
        The result, one entry an expectation in the suite's order.

    Raises:
        NotFound: No such folder or suite; it names the suites that exist. A retry does not help.
        InvalidData: A file of that folder cannot be read, or as for `check_table`.
        InvalidStep: As for `check_table`, or a suite without expectations.
        UnmetNeed: Great Expectations is not installed.
    """
    return check_table(data, read_suite(context_root, suite_name))


def _count(data: Dataset) -> int:
    import pyarrow as pa

    try:
        return int(data.count_rows())
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(error) from error


def _validated(
    context: Any, data: Dataset, expectations: list[Any], suite_name: str
) -> Mapping[int, Any]:
    """Great Expectations' own results by their number in the suite."""
    import great_expectations as gx
    import pyarrow as pa

    try:
        # an index of whoever wrote the file is a column like any other here
        frame = data.to_table().to_pandas(ignore_metadata=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(error) from error
    asset = context.data_sources.add_pandas(_NAME).add_dataframe_asset(_NAME)
    batch = asset.add_batch_definition_whole_dataframe(_NAME).get_batch({"dataframe": frame})
    try:
        validated = batch.validate(
            gx.ExpectationSuite(name=suite_name, expectations=expectations), result_format="BASIC"
        )
    except Exception as error:
        # what is not an expectation's own failure can be any exception of the library's
        raise InvalidStep(
            f"Great Expectations could not run suite {suite_name!r}: {error}.",
            hint="Write values in place of suite parameters, and check the types of arguments.",
        ) from error
    return {item.expectation_config.meta[INDEX_KEY]: item for item in validated.results}


def _unreadable(error: Exception) -> InvalidData:
    return InvalidData(
        f"The table cannot be read: {error}.", hint="Look at what wrote its files; write them anew."
    )
