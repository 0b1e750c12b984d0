from __future__ import annotations

from typing import Any

import pytest

from backbeat.quality import ExpectationResult, QualityResult


def expectation_result(**changes: Any) -> ExpectationResult:
    fields: dict[str, Any] = {
        "type": "expect_column_values_to_not_be_null",
        "column": "delay",
        "success": False,
        "severity": "critical",
        "unexpected_count": 1,
        "unexpected_percent": 25.0,
        "observed": None,
        "detail": "Unexpected: 1 of 4 (25 %).",
        "description": "Column values must not be null (column delay).",
    }
    return ExpectationResult(**{**fields, **changes})


def test_the_summary_counts_and_names_failures() -> None:
    """The summary is one sentence that names up to three failures and counts the rest."""
    failures = [expectation_result(column=name) for name in "abcd"]
    table = expectation_result(type="expect_table_row_count_to_equal", column=None)

    one = QualityResult(success=False, suite="s", rows=1, results=(table,))
    many = QualityResult(success=False, suite="s", rows=4, results=tuple(failures))

    assert one.summary == (
        "Suite s: 1 of 1 expectations failed on 1 row: expect_table_row_count_to_equal."
    )
    assert "4 of 4 expectations failed on 4 rows" in many.summary
    assert many.summary.endswith("(c) and 1 more.")


@pytest.mark.parametrize(
    ("severities", "critical"),
    [(["critical", "info"], True), (["warning", "info"], False), ([], False)],
)
def test_a_gate_stops_on_critical_failures_alone(severities: list[str], *, critical: bool) -> None:
    """One that is critical and holds stops nothing."""
    held = expectation_result(success=True)
    failed = [expectation_result(severity=severity) for severity in severities]
    result = QualityResult(success=not failed, suite="s", rows=4, results=(held, *failed))
    assert result.critical is critical


def test_assertions_have_open_lineages_shape() -> None:
    """An assertion has a column only where the expectation is about one."""
    result = QualityResult(
        success=False,
        suite="s",
        rows=4,
        results=(
            expectation_result(),
            expectation_result(column=None, success=True, severity="warning"),
        ),
    )
    known = {
        "assertion": "expect_column_values_to_not_be_null",
        "description": "Column values must not be null (column delay).",
    }

    assert result.assertions() == [
        {**known, "success": False, "severity": "error", "column": "delay"},
        {**known, "success": True, "severity": "warn"},
    ]


def test_assertions_fit_open_lineages_facet() -> None:
    """The OpenLineage client takes the assertions as they are."""
    facets = pytest.importorskip("openlineage.client.facet_v2").data_quality_assertions_dataset
    result = QualityResult(success=False, suite="s", rows=4, results=(expectation_result(),))

    facet = facets.DataQualityAssertionsDatasetFacet(
        assertions=[facets.Assertion(**item) for item in result.assertions()]
    )

    assert facet.assertions[0].column == "delay"
