"""A batch's performance with its labels, or before them, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backbeat.drift.performance.joining import Joined
from backbeat.drift.performance.judgement import Judged, PerformanceVerdict, judge
from backbeat.drift.performance.measured import MINIMUM_ROWS, Measured
from backbeat.drift.performance.record import Part, PerformanceRecord
from backbeat.drift.performance.reference import Reference, ReferencePart
from backbeat.drift.performance.result import CANNOT_SEE, Performance, SlicePerformance
from backbeat.drift.performance.rows import Rows
from backbeat.drift.performance.settings import Settings
from backbeat.errors import InvalidData

__all__ = ["estimate_performance", "measure_performance"]

_UNSEEN = 0.1  # share of rows beyond the reference's labels above which nothing is estimated


def measure_performance(
    joined: Joined, settings: Settings, reference: Reference | None
) -> Performance:
    """How good the predictions were, now that labels have arrived.

    Args:
        joined: Predictions and their labels.
        settings: How they are judged.
        reference: What they are held against; None for a first batch.

    Returns:
        The verdict, and the record by which later batches are judged.

    Raises:
        ContractBroken: The explainer is not what it was in the reference.
    """
    parts = {
        name: rows.measured(settings, _part(reference, name))
        for name, rows in Rows.of(joined, settings).slices()
    }
    gap = _gap(joined, settings)
    return _judged(joined, parts, settings, reference, gap=gap, estimated=False)


def estimate_performance(
    joined: Joined, settings: Settings, reference: Reference | None
) -> Performance:
    """How good the predictions will probably turn out to be, before any label has arrived.

    It cannot see concept drift (`CANNOT_SEE`).

    Args:
        joined: Predictions alone.
        settings: How they are judged.
        reference: What they are held against, with the counts of labelled batches.

    Raises:
        InvalidData: The reference has no labelled counts to estimate from. A retry does not help.
        ContractBroken: The explainer is not what it was in the reference.
    """
    whole = reference.whole if reference else None
    if reference is not None and whole is not None and not (whole.scores or whole.residuals):
        raise InvalidData(
            f"{reference.title} has no labelled counts to estimate from",
            hint="measure the performance of a batch whose labels are in first",
        )
    parts: dict[str, Part] = {}
    unseen: dict[str, float] = {}
    for name, rows in Rows.of(joined, settings).slices():
        against = _part(reference, name)
        if against is not None and (against.scores or against.residuals) and len(rows.prediction):
            parts[name], unseen[name] = rows.estimated(settings, against)
    beyond = unseen.get("", 0.0)
    gap = ""
    if joined.predictions == 0:
        gap = "nothing was predicted"
    elif beyond > _UNSEEN:
        gap = f"{beyond:.0%} of the predictions lie beyond those that the reference has labels for"
    found = _judged(joined, parts, settings, reference, gap=gap, estimated=True)
    return found.model_copy(update={"unseen": beyond, "cannot_see": CANNOT_SEE})


def _judged(
    joined: Joined,
    parts: Mapping[str, Part],
    settings: Settings,
    reference: Reference | None,
    *,
    gap: str,
    estimated: bool,
) -> Performance:
    whole = parts.get("", Part(rows=0, units=0, metrics={}))
    others = {name: part for name, part in parts.items() if name}
    judged: tuple[Judged, ...] = ()
    slices: list[SlicePerformance] = []
    if not gap:
        judged = _against(whole, _part(reference, ""), settings, tests=1)
        slices = [
            _slice(name, part, _part(reference, name), settings, tests=len(others))
            for name, part in others.items()
        ]
        slices.sort(key=lambda item: item.verdict != "drifted")
    verdict = _verdict(judged) if not gap else "insufficient_data"
    reason = gap or "; ".join(item.reason for item in judged if item.verdict == verdict)
    drifted = [item.name for item in slices if item.verdict == "drifted"]
    if drifted:
        verdict, reason = "drifted", f"{', '.join(drifted)} drifted; {reason}"
    return Performance(
        verdict=verdict,
        estimated=estimated,
        reason=reason,
        predictions=joined.predictions,
        rows=whole.rows,
        coverage=None if estimated else joined.coverage,
        metrics=whole.metrics,
        judged=judged,
        slices=tuple(slices),
        reference=reference.title if reference else "",
        facts=joined.facts,
        examples=joined.examples,
        record=PerformanceRecord(
            model=settings.model,
            partition=settings.partition,
            task=settings.task,
            threshold=settings.threshold,
            estimated=estimated,
            verdict=verdict,
            predictions=joined.predictions,
            whole=whole,
            slices=others,
        ),
    )


def _slice(
    name: str, part: Part, against: ReferencePart | None, settings: Settings, *, tests: int
) -> SlicePerformance:
    judged = _against(part, against, settings, tests=tests)
    return SlicePerformance(
        name=name,
        verdict=_verdict(judged),
        rows=part.rows,
        metrics=part.metrics,
        judged=judged,
    )


def _against(
    part: Part, against: ReferencePart | None, settings: Settings, *, tests: int
) -> tuple[Judged, ...]:
    """Each judged metric against its reference, as one of `tests` parts of the batch."""
    # Bonferroni's: nobody asked for this slice and this metric in particular
    level = (1 - settings.confidence) / 2 / (tests * len(settings.judged))
    standards = against.standards if against else {}
    found = []
    for name in settings.judged:
        standard = standards.get(name)
        now = part.metrics.get(name, Measured(value=None, reason="it was not estimated"))
        if part.rows < MINIMUM_ROWS:
            now = Measured(value=None, reason=f"{part.rows} rows are fewer than {MINIMUM_ROWS}")
        scale = standards.get("mae" if name == "bias" else name)
        found.append(
            judge(
                name,
                now,
                standard,
                days=part.units,
                floor=settings.floor,
                scale=scale.value if scale else None,
                level=level,
            )
        )
    return tuple(found)


def _verdict(judged: Sequence[Judged]) -> PerformanceVerdict:
    verdicts = {item.verdict for item in judged}
    order: tuple[PerformanceVerdict, ...] = ("drifted", "insufficient_data", "stable")
    return next((verdict for verdict in order if verdict in verdicts), "no_reference")


def _gap(joined: Joined, settings: Settings) -> str:
    """Why labels cannot be judged by, empty where they can."""
    if joined.predictions == 0:
        return "nothing was predicted"
    labelled, alone = len(joined.prediction), joined.facts.get("labels_without_prediction", 0)
    if labelled == 0 and alone:
        such = joined.examples["labels_without_prediction"][0]
        return f"none of the {alone} labels belongs to a prediction, such as that of {such}"
    if joined.coverage < settings.min_coverage:
        return (
            f"labels have arrived for {labelled} of {joined.predictions} predictions, "
            f"{joined.coverage:.0%}, and {settings.min_coverage:.0%} are wanted"
        )
    if labelled < MINIMUM_ROWS:
        return f"{labelled} labelled rows are fewer than {MINIMUM_ROWS}"
    return ""


def _part(reference: Reference | None, name: str) -> ReferencePart | None:
    if reference is None:
        return None
    return reference.slices.get(name) if name else reference.whole
