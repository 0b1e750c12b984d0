"""What a quality check found, as plain JSON."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from backbeat.quality.suite import Severity

__all__ = ["ExpectationResult", "QualityResult"]


class ExpectationResult(BaseModel):
    """What became of one expectation.

    It holds counts and aggregates and no examples of rows that break it: results are kept in places
    that cannot forget.

    Args:
        type: Name in Great Expectations' registry.
        column: The one column that it is about; None for a table or several columns.
        success: Whether it holds; an expectation that could not be evaluated does not.
        severity: How bad a failure is.
        unexpected_count: Number of values that break it, where it is about single values.
        unexpected_percent: The same in percent of the values that were looked at, 0 to 100.
        observed: What was seen instead, where it is about an aggregate; long lists are cut.
        detail: What was found, or the message of the exception that kept it from being evaluated.
        description: What was expected, one sentence for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    type: str
    column: str | None
    success: bool
    severity: Severity
    unexpected_count: int | None
    unexpected_percent: float | None
    observed: JsonValue
    detail: str
    description: str


class QualityResult(BaseModel):
    """What became of a suite.

    Args:
        success: Whether every expectation holds, whatever its severity.
        suite: The suite's name.
        rows: Number of rows that were checked.
        results: One result an expectation, in the suite's order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    success: bool
    suite: str
    rows: int
    results: tuple[ExpectationResult, ...]

    @property
    def failures(self) -> tuple[ExpectationResult, ...]:
        """The expectations that do not hold."""
        return tuple(result for result in self.results if not result.success)

    @property
    def critical(self) -> bool:
        """Whether an expectation does not hold whose severity is critical: what a gate stops on."""
        return any(result.severity == "critical" for result in self.failures)

    @property
    def summary(self) -> str:
        """The result as one sentence for people."""
        failed, total = len(self.failures), len(self.results)
        rows = f"{self.rows} row{'' if self.rows == 1 else 's'}"
        if not failed:
            return f"Suite {self.suite}: all {total} expectations hold on {rows}."
        named = ", ".join(
            result.type + (f" ({result.column})" if result.column else "")
            for result in self.failures[:3]
        )
        more = f" and {failed - 3} more" if failed > 3 else ""  # noqa: PLR2004 (as sliced above)
        return (
            f"Suite {self.suite}: {failed} of {total} expectations failed on {rows}: {named}{more}."
        )

    def assertions(self) -> list[dict[str, Any]]:
        """The results in the shape of OpenLineage's `dataQualityAssertions` facet.

        Returns:
            One `{"assertion", "success", "severity", "description", "column"}` an expectation;
            without `column` where it is about the table or several columns, as that facet's schema
            has it. The facet's severities are `error` and `warn`.
        """
        return [
            {
                "assertion": result.type,
                "success": result.success,
                "severity": "error" if result.severity == "critical" else "warn",
                "description": result.description,
                **({"column": result.column} if result.column is not None else {}),
            }
            for result in self.results
        ]
