"""Data quality by Great Expectations: a suite as data, a check, its result, a report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.quality.check import check_table, check_with_context
    from backbeat.quality.report import report_html
    from backbeat.quality.result import ExpectationResult, QualityResult
    from backbeat.quality.suite import Expectation, Suite

__all__ = [
    "Expectation",
    "ExpectationResult",
    "QualityResult",
    "Suite",
    "check_table",
    "check_with_context",
    "report_html",
]

_HOMES = {
    "Expectation": "backbeat.quality.suite",
    "ExpectationResult": "backbeat.quality.result",
    "QualityResult": "backbeat.quality.result",
    "Suite": "backbeat.quality.suite",
    "check_table": "backbeat.quality.check",
    "check_with_context": "backbeat.quality.check",
    "report_html": "backbeat.quality.report",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.quality' has no attribute {name!r}")
