"""A monitor's past, column by column: the line of its effects, and what was decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from backbeat.drift.decision import decide
from backbeat.drift.history import JudgedBatch, JudgedColumn, Monitor
from backbeat.drift.past import PastBatch
from backbeat.drift.profile import Profile
from backbeat.drift.verdict import DriftVerdict

__all__ = ["ColumnLine", "LinePoint", "lines"]


@dataclass(frozen=True, kw_only=True)
class LinePoint:
    """A column in one batch.

    Args:
        partition: The batch.
        effect: The column's effect, 0 to 1; None where it could not be measured.
        verdict: What was decided about the column; None where the batch was only counted.
        checks: The checks that fired.
        alarm: Whether people were told.
        acknowledged: Whether a person has acknowledged the batch.
    """

    partition: str
    effect: float | None
    verdict: DriftVerdict | None
    checks: tuple[str, ...] = ()
    alarm: bool = False
    acknowledged: bool = False


@dataclass(frozen=True, kw_only=True)
class ColumnLine:
    """A column from batch to batch.

    Args:
        points: The batches, the oldest first.
        band: The effect up to which the latest decision called a batch ordinary; None where it
            was not calibrated.
        muted_until: The last day of its mute, None where it is not muted for the latest batch.
    """

    points: tuple[LinePoint, ...]
    band: float | None
    muted_until: str | None

    @property
    def alarms(self) -> int:
        """How many batches raised an alarm about the column."""
        return sum(point.alarm for point in self.points)

    @property
    def latest_alarm(self) -> str | None:
        """The latest batch that raised one."""
        return next((point.partition for point in reversed(self.points) if point.alarm), None)

    @property
    def highest(self) -> float | None:
        """The largest effect of any batch."""
        return max((p.effect for p in self.points if p.effect is not None), default=None)


def lines(
    monitor: Monitor, *, progress: Callable[[int, int | None], None] = lambda *_: None
) -> dict[str, ColumnLine]:
    """Every watched column's line; damaged batches are left out, with a warning.

    A batch that was only counted gets its effects here, against the pinned profile.

    Raises:
        NotFound: There is no monitor.
    """
    pinned = monitor.reference()
    names = monitor.partitions(pinned.edges_digest)
    points: dict[str, list[LinePoint]] = {name: [] for name in pinned.columns}
    bands: dict[str, float | None] = {}
    for done, name in enumerate(names, start=1):
        found = monitor.stored(pinned.edges_digest, name)
        if found is not None:
            for column, point, band in _points(pinned, *found):
                points.setdefault(column, []).append(point)
                bands[column] = band
        progress(done, len(names))
    muted = monitor.muted(names[-1]) if names else {}
    return {
        name: ColumnLine(points=tuple(line), band=bands.get(name), muted_until=muted.get(name))
        for name, line in points.items()
    }


def _points(
    pinned: Profile, batch: PastBatch, judged: JudgedBatch | None
) -> Iterable[tuple[str, LinePoint, float | None]]:
    columns = judged.decision.columns if judged else _measured(pinned, batch)
    for column in columns:
        point = LinePoint(
            partition=batch.partition,
            effect=column.effect,
            verdict=column.verdict if judged else None,
            checks=tuple(dict.fromkeys(finding.check for finding in column.findings)),
            alarm=bool(judged) and column.alarming,
            acknowledged=batch.acknowledged,
        )
        yield column.name, point, column.band


def _measured(pinned: Profile, batch: PastBatch) -> tuple[JudgedColumn, ...]:
    found = decide(pinned, batch.profile, partition=batch.partition)
    return tuple(
        JudgedColumn(name=column.name, verdict=column.verdict, effect=column.effect)
        for column in found.columns
    )
