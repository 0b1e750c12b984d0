"""Performance drift: how good a model is once labels come, and how good it should be before.

`measure_performance` joins predictions with the labels that have arrived; `estimate_performance`
says from the scores alone what the labels will probably show. Both are held against a reference,
and both work on small records with counts (`PerformanceRecord`), never on stored raw data.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.drift.performance.calibrator import Calibrator, fit_calibrator
    from backbeat.drift.performance.check import estimate_performance, measure_performance
    from backbeat.drift.performance.joining import Joined, join_labels, only_predictions
    from backbeat.drift.performance.judgement import Standard
    from backbeat.drift.performance.markdown import performance_markdown
    from backbeat.drift.performance.measured import Measured
    from backbeat.drift.performance.metrics import measure
    from backbeat.drift.performance.record import (
        PerformanceRecord,
        past_records,
        read_record,
        record_key,
        write_record,
    )
    from backbeat.drift.performance.reference import Reference, reference_of, reference_of_numbers
    from backbeat.drift.performance.result import CANNOT_SEE, Performance
    from backbeat.drift.performance.settings import Settings

__all__ = [
    "CANNOT_SEE",
    "Calibrator",
    "Joined",
    "Measured",
    "Performance",
    "PerformanceRecord",
    "Reference",
    "Settings",
    "Standard",
    "estimate_performance",
    "fit_calibrator",
    "join_labels",
    "measure",
    "measure_performance",
    "only_predictions",
    "past_records",
    "performance_markdown",
    "read_record",
    "record_key",
    "reference_of",
    "reference_of_numbers",
    "write_record",
]

_HOMES = {
    "CANNOT_SEE": "result",
    "Calibrator": "calibrator",
    "Joined": "joining",
    "Measured": "measured",
    "Performance": "result",
    "PerformanceRecord": "record",
    "Reference": "reference",
    "Settings": "settings",
    "Standard": "judgement",
    "estimate_performance": "check",
    "fit_calibrator": "calibrator",
    "join_labels": "joining",
    "measure": "metrics",
    "measure_performance": "check",
    "only_predictions": "joining",
    "past_records": "record",
    "performance_markdown": "markdown",
    "read_record": "record",
    "record_key": "record",
    "reference_of": "reference",
    "reference_of_numbers": "reference",
    "write_record": "record",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
