"""What the past batches say about a batch: calibrated statistics, and the line of each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from backbeat.drift._column_statistics import batch_statistics, column_statistics
from backbeat.drift._statistics import Statistic
from backbeat.drift.calibration import Calibrated, calibrate
from backbeat.drift.past import PastBatch
from backbeat.drift.profile import Profile
from backbeat.drift.reference import replay, weekday
from backbeat.drift.rules import Rules
from backbeat.drift.verdict import BandPoint, DriftVerdict, Finding

__all__ = ["Past", "finding_of", "past_of"]


@dataclass(frozen=True)
class Past:
    """The past of a batch, as far as the batch is judged by it.

    Args:
        batches: How many past batches the limits come from; 0 where they do not.
        found: The calibrated statistics of each column, and of the batch under `BATCH`.
        lines: Each column's effect in past batches.
        typical: Each column's median effect in past batches.
    """

    batches: int = 0
    found: Mapping[str, Sequence[Calibrated]] = field(default_factory=dict)
    lines: Mapping[str, tuple[BandPoint, ...]] = field(default_factory=dict)
    typical: Mapping[str, float] = field(default_factory=dict)

    def of(self, column: str) -> Sequence[Calibrated]:
        """The calibrated statistics of one column."""
        return self.found.get(column, ())

    def calibrated(self, column: str) -> bool:
        """Whether the column's distance has limits of its own history."""
        return any(one.statistic.check == "distribution" for one in self.of(column))

    def band(self, column: str) -> float | None:
        """The largest effect that the column's history calls ordinary."""
        for one in self.of(column):
            if one.statistic.check == "distribution":
                return min(1.0, max(0.0, one.statistic.effect(one.high, one.expected)))
        return None


def past_of(
    reference: Profile,
    current: Profile,
    columns: Sequence[str],
    history: Sequence[PastBatch],
    rules: Rules,
    partition: str,
) -> Past:
    """Measure the batch and its past alike, and calibrate where the past is long enough.

    Args:
        reference: What the batch is compared with.
        current: The batch.
        columns: Those that can be compared.
        history: The past batches, the oldest first.
        rules: The thresholds.
        partition: The batch's name, a day where weekdays are to count.
    """
    ordinary = [batch for batch in history if batch.ordinary and batch.profile.rows]
    if not ordinary:
        return Past()
    profiles = [batch.profile for batch in ordinary]
    references = replay(rules, [batch.partition for batch in ordinary])
    measured = {
        name: column_statistics(name, reference, current, profiles, references) for name in columns
    }
    lines = {
        name: _line(name, statistics, ordinary)
        for name, statistics in measured.items()
        if statistics and statistics[0].check == "distribution"
    }
    learnt = [not rules.limits_until or batch.partition <= rules.limits_until for batch in ordinary]
    if not rules.calibrate or sum(learnt) < rules.min_history:
        return Past(lines=lines)
    statistics = batch_statistics(current, profiles)
    for name, each in measured.items():
        # what waits for its persistence, or was muted, has not been called ordinary by anyone
        moved = np.asarray([name in batch.fired and batch.calibrated for batch in ordinary])
        moved &= ~np.asarray([batch.acknowledged for batch in ordinary])
        statistics += [replace(s, past=np.where(moved, np.nan, s.past)) for s in each]
    found: dict[str, list[Calibrated]] = {}
    for one in calibrate(
        statistics,
        days=[weekday(batch.partition) for batch in ordinary],
        day=weekday(partition),
        acknowledged=[batch.acknowledged for batch in ordinary],
        learnt=learnt,
        window=rules.window,
        false_alarm=rules.false_alarm,
    ):
        found.setdefault(one.statistic.column, []).append(one)
    typical = {
        name: float(np.nanmedian(measured[name][0].past))
        for name in lines
        if np.isfinite(measured[name][0].past).any()
    }
    return Past(batches=sum(learnt), found=found, lines=lines, typical=typical)


def _line(
    name: str, statistics: Sequence[Statistic], batches: Sequence[PastBatch]
) -> tuple[BandPoint, ...]:
    return tuple(
        # hundreds of points a column, made of what is known to be right
        BandPoint.model_construct(
            partition=batch.partition,
            value=float(np.clip(value, 0, 1)) if np.isfinite(value) else None,
            verdict=_verdict(name, batch),
        )
        for batch, value in zip(batches, statistics[0].past, strict=True)
    )


def _verdict(name: str, batch: PastBatch) -> DriftVerdict | None:
    if batch.verdict not in ("drifted", "broken"):
        return batch.verdict
    return batch.verdict if name in batch.fired else "stable"


def finding_of(one: Calibrated, batches: int) -> Finding:
    """What a statistic beyond its limit is called."""
    statistic = one.statistic
    value, threshold, expected = statistic.value, one.limit, one.expected
    if statistic.check == "volume":
        value, threshold, expected = (float(np.expm1(x)) for x in (value, threshold, expected))
        what, shown = "the batch has {value:,.0f} rows", "{:,.0f}"
    elif statistic.check in ("missing", "cardinality"):
        what, shown = f"its {statistic.name} is {{value:.2%}}", "{:.2%}"
    else:
        what, shown = f"its {statistic.name} is {{value:.4g}}", "{:.4g}"
    side = "at most" if value >= threshold else "at least"
    return Finding(
        check=statistic.check,
        statistic="rows" if statistic.check == "volume" else statistic.name,
        value=value,
        threshold=threshold,
        source="history",
        sentence=f"{what.format(value=value)}, where its last {batches} batches let expect "
        f"{shown.format(expected)} and {side} {shown.format(threshold)}",
    )
