"""The line of a column's effect over past batches, with this batch as its last point."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backbeat.drift._wording import shown
from backbeat.drift.verdict import BandPoint, ColumnDrift, Decision

__all__ = ["Trend", "limit_of", "trend_of"]

_ALARMS = ("drifted", "broken")
_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARKS = 14
_DRAWN = 90
_LEAST = 0.02
_FAR = 3


@dataclass(frozen=True, kw_only=True)
class Trend:
    """What is drawn of a column's history.

    Args:
        past: The past batches, at most the last 90, the oldest first.
        now: The effect in this batch, None where it could not be measured.
        partition: This batch; may be empty.
        band: The effect up to which the history calls a batch ordinary, None where unknown.
        limit: The effect from which a batch drifted.
        alarm: Whether this batch raised one in the column.
    """

    past: tuple[BandPoint, ...]
    now: float | None
    partition: str
    band: float | None
    limit: float
    alarm: bool

    @property
    def values(self) -> list[float | None]:
        """All effects, this batch's last."""
        return [*(point.value for point in self.past), self.now]

    @property
    def alarms(self) -> list[int]:
        """Places in `values` at which the column was drifted or broken."""
        past = [at for at, point in enumerate(self.past) if point.verdict in _ALARMS]
        return [*past, len(self.past)] if self.alarm else past

    @property
    def runs(self) -> list[list[tuple[int, float]]]:
        """Stretches of (place, effect) without a gap."""
        runs: list[list[tuple[int, float]]] = [[]]
        for at, value in enumerate(self.values):
            if value is not None:
                runs[-1].append((at, value))
            elif runs[-1]:
                runs.append([])
        return [run for run in runs if run]

    @property
    def top(self) -> float:
        """The largest effect that is drawn; a limit far beyond all of them is not."""
        largest = max((value for value in self.values if value is not None), default=0.0)
        return max(largest, min(self.limit, max(_FAR * largest, _LEAST)))

    @property
    def beyond(self) -> bool:
        """Whether the limit is too far away to be drawn."""
        return self.limit > self.top

    @property
    def ends(self) -> tuple[str, str]:
        """Names of the first and the last batch."""
        batches = "1 batch ago" if len(self.past) == 1 else f"{len(self.past)} batches ago"
        return shown(self.past[0].partition, 20) or batches, shown(
            self.partition, 20
        ) or "this batch"

    @property
    def limit_words(self) -> str:
        """The line's name."""
        ordinary = self.band is not None and self.band >= self.limit
        words = f"{'ordinary up to' if ordinary else 'limit'} {self.limit:.3f}"
        return f"{words}, above the drawing" if self.beyond else words

    @property
    def short(self) -> str:
        """The line in a few words."""
        known = self._known
        now = "not measured" if self.now is None else f"{self.now:.3f}"
        ordinary = f"{known[0]:.3f} to {known[-1]:.3f}" if known else "nothing"
        return f"{ordinary} in {len(self.past)} past batches, now {now}"

    @property
    def _known(self) -> list[float]:
        return sorted(point.value for point in self.past if point.value is not None)

    @property
    def said(self) -> str:
        """The same in words and numbers."""
        known = self._known
        parts = [f"Effect in {len(self.past)} past batches, {self.ends[0]} to {self.ends[1]}"]
        if known:
            middle = known[len(known) // 2]
            parts.append(f"{known[0]:.3f} to {known[-1]:.3f}, the middle one {middle:.3f}")
        gaps = len(self.past) - len(known)
        if gaps:
            parts.append(f"{gaps} not measured")
        earlier = sum(at < len(self.past) for at in self.alarms)
        if earlier:
            parts.append(f"{earlier} raised an alarm")
        if self.band is not None:
            parts.append(f"ordinary up to {self.band:.3f}")
        parts.append(f"limit {self.limit:.3f}")
        now = "not measured" if self.now is None else f"{self.now:.3f}"
        return f"{'; '.join(parts)}; this batch {now}."

    def last(self, batches: int) -> Trend:
        """The same with the last so many past batches only."""
        return replace(self, past=self.past[-batches:])

    @property
    def sparks(self) -> str:
        """The last 14 effects as block characters, a dot where there is none."""
        top = self.top
        return "".join(
            "·" if value is None else _BLOCKS[round(value / top * (len(_BLOCKS) - 1))]
            for value in self.values[-_SPARKS:]
        )


def limit_of(column: ColumnDrift, decision: Decision) -> float:
    """The effect from which a column drifted: what its history calls ordinary, or the floor.

    Args:
        column: One of the decision's columns.
        decision: What `decide` returned.
    """
    return max(decision.effect_floor, column.band or 0.0)


def trend_of(column: ColumnDrift, decision: Decision) -> Trend | None:
    """The column's line, None where it has no past.

    Args:
        column: One of the decision's columns.
        decision: What `decide` returned.
    """
    past = column.history
    # a batch that was judged before and is judged again is one point
    if past and decision.partition and past[-1].partition == decision.partition:
        past = past[:-1]
    past = past[-_DRAWN:]
    if all(point.value is None for point in past):
        return None
    return Trend(
        past=past,
        now=column.effect,
        partition=decision.partition,
        band=column.band,
        limit=limit_of(column, decision),
        alarm=column.verdict in _ALARMS,
    )
