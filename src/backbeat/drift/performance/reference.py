"""What a batch is held against: a record, batches of the past, or an evaluation's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, sqrt
from statistics import fmean, stdev

from backbeat.drift.performance.judgement import Standard
from backbeat.drift.performance.measured import METRICS, MINIMUM_UNITS, Metric, Task
from backbeat.drift.performance.record import Part, PerformanceRecord
from backbeat.drift.performance.residual_cells import ResidualCells, merge_residuals
from backbeat.drift.performance.score_cells import ScoreCells, merge_scores
from backbeat.errors import InvalidData, InvalidStep

__all__ = ["Reference", "ReferencePart", "reference_of", "reference_of_numbers"]


@dataclass(frozen=True, kw_only=True)
class ReferencePart:
    """The reference of the whole, or of one slice.

    Args:
        standards: What each metric is held against.
        scores: How scores came true, for an estimate.
        residuals: How wrong predictions were, for an estimate.
    """

    standards: Mapping[Metric, Standard]
    scores: ScoreCells | None = None
    residuals: ResidualCells | None = None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a batch is held against.

    Args:
        title: For people.
        whole: Of all rows.
        slices: By name of the slice.
    """

    title: str
    whole: ReferencePart
    slices: Mapping[str, ReferencePart] = field(default_factory=dict)


def reference_of(
    records: Sequence[PerformanceRecord], *, title: str, task: Task, threshold: float
) -> Reference:
    """The reference that one pinned record, or several past ones, make together.

    From five batches on, their spread says what is ordinary.

    Args:
        records: One or more, the oldest first.
        title: For people.
        task: What the batch is.
        threshold: What its classes are cut at.

    Raises:
        InvalidStep: A record is of another task or threshold. A retry does not help.
        InvalidData: A record is itself an estimate. A retry does not help.
    """
    for record in records:
        if record.estimated:
            raise InvalidData(
                f"the record of {record.partition} is an estimate: a reference has seen labels",
                hint="name a record of a batch whose labels were measured",
            )
        mine, theirs = (task, threshold), (record.task, record.threshold)
        if mine != theirs:
            raise InvalidStep(
                f"the record of {record.partition} is a {theirs[0]} with the threshold "
                f"{theirs[1]:g}, and this check is a {mine[0]} with {mine[1]:g}",
                hint="check with the reference's own task and threshold, or under another `model`",
            )
    names = dict.fromkeys(name for record in records for name in record.slices)
    return Reference(
        title=title,
        whole=_merged([record.whole for record in records], task),
        slices={
            name: _merged([r.slices[name] for r in records if name in r.slices], task)
            for name in names
        },
    )


def reference_of_numbers(
    numbers: Mapping[str, float], *, title: str, task: Task, counts: Reference | None = None
) -> Reference:
    """The reference that an evaluation's metrics make, such as those logged with a model.

    Args:
        numbers: By name; those that are no metric of the task are ignored.
        title: For people.
        task: What the batch is.
        counts: Labelled batches that an estimate starts from.

    Raises:
        InvalidData: None of them is a metric of the task. A retry does not help.
    """
    standards = {
        name: Standard(float(numbers[name]))
        for name in METRICS[task]
        if name in numbers and isfinite(numbers[name])
    }
    if not standards:
        raise InvalidData(
            f"{title} has no metric of a {task}; it has {', '.join(numbers) or 'none'}",
            hint=f"log one of {', '.join(METRICS[task])} when the model is evaluated",
        )
    if counts is None:
        return Reference(title=title, whole=ReferencePart(standards=standards))
    part = ReferencePart(
        standards=standards, scores=counts.whole.scores, residuals=counts.whole.residuals
    )
    return Reference(title=title, whole=part, slices=counts.slices)


def _merged(parts: Sequence[Part], task: Task) -> ReferencePart:
    scores = [part.scores for part in parts if part.scores is not None]
    residuals = [part.residuals for part in parts if part.residuals is not None]
    standards = {name: _standard(parts, name) for name in METRICS[task]}
    return ReferencePart(
        standards={name: found for name, found in standards.items() if found is not None},
        scores=merge_scores(scores) if scores else None,
        residuals=merge_residuals(residuals) if residuals else None,
    )


def _standard(parts: Sequence[Part], name: Metric) -> Standard | None:
    found = [part.metrics[name] for part in parts if name in part.metrics]
    values = [item.value for item in found if item.value is not None]
    if not values:
        return None
    known = [item for item in found if item.value is not None]
    error = sqrt(sum(item.error**2 for item in known)) / len(known)
    days = sum(item.units for item in known) if all(item.clustered for item in known) else 0
    spread = stdev(values) if len(values) >= MINIMUM_UNITS else None
    return Standard(fmean(values), error, days, spread, len(values))
