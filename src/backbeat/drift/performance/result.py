"""What a performance check says: the verdict, the metrics, and what it rests on."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from backbeat.drift.performance.judgement import Judged, PerformanceVerdict
from backbeat.drift.performance.measured import Measured, Metric
from backbeat.drift.performance.record import PerformanceRecord

__all__ = ["CANNOT_SEE", "Performance", "SlicePerformance"]

CANNOT_SEE = (
    "An estimate assumes that a score means what it meant in the reference. It sees that a batch's "
    "scores are less certain; it cannot see concept drift, a change in how features and label "
    "relate: that shows only when labels arrive."
)


class SlicePerformance(BaseModel):
    """One slice of a batch.

    Args:
        name: Such as `origin=JFK`.
        verdict: The slice's own.
        rows: Its rows.
        metrics: What was measured or estimated.
        judged: Its metrics against the slice's own reference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    verdict: PerformanceVerdict
    rows: int
    metrics: dict[Metric, Measured]
    judged: tuple[Judged, ...]


class Performance(BaseModel):
    """The verdict on a batch's performance, with what it rests on.

    Args:
        verdict: `drifted` where a metric of the whole or of a slice is worse, `insufficient_data`
            where that could not have been seen, `no_reference` where there is nothing to hold it
            against, else `stable`.
        estimated: Whether no label was seen.
        reason: The verdict as a sentence.
        predictions: Rows that were predicted.
        rows: Rows behind the metrics.
        coverage: Share of the predictions whose label has arrived; None for an estimate.
        metrics: What was measured or estimated, with intervals.
        judged: The metrics against their reference.
        slices: The same by slice, those that drifted first.
        reference: The reference for people.
        facts: Counts of what did not fit: repeated and conflicting keys, labels without prediction.
        examples: A few keys of each of those.
        unseen: Share of rows that the reference has no labels for; None where labels were seen.
        cannot_see: What an estimate is blind to; empty where labels were seen.
        record: What is kept of the batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    verdict: PerformanceVerdict
    estimated: bool
    reason: str
    predictions: int
    rows: int
    coverage: float | None
    metrics: dict[Metric, Measured]
    judged: tuple[Judged, ...] = ()
    slices: tuple[SlicePerformance, ...] = ()
    reference: str = ""
    facts: dict[str, int] = Field(default_factory=dict)
    examples: dict[str, list[str]] = Field(default_factory=dict)
    unseen: float | None = None
    cannot_see: str = ""
    record: PerformanceRecord = Field(exclude=True)
