"""From Great Expectations' result objects to plain JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from pydantic import JsonValue

from backbeat.quality.result import ExpectationResult
from backbeat.quality.suite import Expectation

__all__ = ["expectation_result", "plain"]

_MOST_ITEMS = 20
_LONGEST_TEXT = 500


def expectation_result(expectation: Expectation, outcome: Any, *, rows: int) -> ExpectationResult:
    """Translate one result.

    Args:
        expectation: What was expected.
        outcome: Great Expectations' `ExpectationValidationResult`; None where it returned none.
        rows: Number of rows that were checked.

    Returns:
        The result; a failure where an exception was raised or no result came back.
    """
    found: Mapping[str, Any] = {} if outcome is None else outcome.result
    raised = (
        ["Great Expectations returned no result"]
        if outcome is None
        else _messages(outcome.exception_info)
    )
    count = plain(found.get("unexpected_count"))
    percent = plain(found.get("unexpected_percent"))
    observed = plain(found.get("observed_value"))
    return ExpectationResult(
        type=expectation.type,
        column=expectation.column,
        success=outcome is not None and bool(outcome.success) and not raised,
        severity=expectation.severity,
        unexpected_count=count if isinstance(count, int) else None,
        unexpected_percent=float(percent) if isinstance(percent, (int, float)) else None,
        observed=observed,
        detail=_cut(
            "It could not be evaluated: " + "; ".join(raised)
            if raised
            else _detail(found, observed, rows)
        ),
        description=expectation.sentence,
    )


def plain(value: Any) -> JsonValue:
    """Any value that a metric may observe, as JSON that has a canonical form.

    NaN and missing values become null, infinities their names, times ISO 8601, what JSON has no
    word for its text; of long lists and mappings the first 20 items are kept.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in islice(value.items(), _MOST_ITEMS)}
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return plain(value.tolist())
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [plain(item) for item in islice(items, _MOST_ITEMS)]
    return _text(value)


def _number(value: float) -> JsonValue:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        value = value.isoformat() if hasattr(value, "isoformat") else str(value)
        if value in {"NaT", "<NA>"}:
            return None
    # a lone surrogate has no canonical form
    return str(value).encode("utf-8", "replace").decode()


def _messages(exception_info: Mapping[str, Any]) -> list[str]:
    """Each different message once; the information is one mapping, or one a metric."""
    infos = [exception_info] if "raised_exception" in exception_info else exception_info.values()
    messages = (
        " ".join(str(info.get("exception_message") or "unknown error").split())
        for info in infos
        if info.get("raised_exception")
    )
    return list(dict.fromkeys(messages))


def _detail(found: Mapping[str, Any], observed: JsonValue, rows: int) -> str:
    count, looked_at = plain(found.get("unexpected_count")), plain(found.get("element_count"))
    if looked_at is not None and plain(found.get("missing_count")) == looked_at:
        return "There was no value to look at, so nothing was checked."
    if isinstance(count, int):
        of = f" of {looked_at}" if looked_at is not None else ""
        percent = plain(found.get("unexpected_percent"))
        share = f" ({percent:.3g} %)" if isinstance(percent, (int, float)) else ""
        return f"Unexpected: {count}{of}{share}."
    if observed is not None:
        return f"Observed: {json.dumps(observed)}."
    return f"Checked on {rows} rows."


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
