"""The decision over two profiles: is this batch still the data that the model knows?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backbeat.drift._bins import Bin
from backbeat.drift._evidence import Evidence, gather
from backbeat.drift.profile import Profile
from backbeat.drift.verdict import GRAVEST, Check, ColumnDrift, Decision, DriftVerdict, MovedBin
from backbeat.errors import InvalidStep

__all__ = ["benjamini_hochberg", "decide"]

_MOVED_SHOWN = 3
_CERTAIN = 1e-9


def decide(
    reference: Profile,
    current: Profile,
    *,
    q: float = 0.05,
    effect_floor: float = 0.1,
    smallest_effect: float | None = None,
    power: float = 0.8,
    importance: Mapping[str, float] | None = None,
) -> Decision:
    """Compare a batch with its reference, column by column.

    A column that is missing, new or of another type, whose share of missing rows moved, or half
    of whose values left the reference's range is broken. Else, a batch too small to show
    `smallest_effect` at level `q` with this `power` is `insufficient_data`, never a pass. Else
    the column drifted where its effect reaches `effect_floor` and its p-value, after Benjamini
    and Hochberg (1995) over all tested columns, is at most `q`.

    Args:
        reference: What the model knows.
        current: The batch, profiled with `edges_from=reference`.
        q: Level, between 0 and 1: the expected share of false alarms among the alarms.
        effect_floor: Smallest effect that matters, 0 to 1.
        smallest_effect: The effect that the batch must be able to show; None for the floor.
        power: The probability with which it must be able to, 0.5 or more and below 1.
        importance: Weight per column for the ranking, 1 for those not named.

    Raises:
        InvalidData: The two profiles were counted on different edges.
        InvalidStep: A parameter is out of its range.
    """
    wanted = effect_floor if smallest_effect is None else smallest_effect
    _check_parameters(q=q, effect_floor=effect_floor, smallest_effect=wanted, power=power)
    names = list(dict.fromkeys([*reference.columns, *current.columns]))
    found = [gather(name, reference, current) for name in names]
    smallest = {
        item.name: item.values.smallest_effect(q=q, power=power)
        for item in found
        if item.values is not None and item.values.size
    }
    tests: dict[tuple[str, str], float] = {}
    for item in found:
        if item.missing is not None and item.missing.size:
            tests[item.name, "missing"] = item.missing.p
        if item.values and not item.too_rare and smallest.get(item.name, 2.0) <= wanted:
            tests[item.name, "values"] = item.values.p
    adjusted = dict(zip(tests, benjamini_hochberg(list(tests.values())), strict=True))
    judge = _Judge(
        q=q, floor=effect_floor, wanted=wanted, power=power, smallest=smallest, adjusted=adjusted
    )
    weights = importance or {}
    columns = [judge.column(item, weights.get(item.name, 1.0)) for item in found]
    columns.sort(key=_urgency)
    verdicts = {column.verdict for column in columns}
    if not current.rows:
        verdicts.add("insufficient_data")
    return Decision(
        verdict=next((verdict for verdict in GRAVEST if verdict in verdicts), "stable"),
        q=q,
        effect_floor=effect_floor,
        smallest_effect=wanted,
        power=power,
        reference_rows=reference.rows,
        current_rows=current.rows,
        columns=tuple(
            column.model_copy(update={"rank": rank}) for rank, column in enumerate(columns, start=1)
        ),
    )


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjusted p-values: rejecting those at most q keeps the false discovery rate at q."""
    order = sorted(range(len(p)), key=lambda at: p[at])
    adjusted = [1.0] * len(p)
    least = 1.0
    for place in range(len(p), 0, -1):
        at = order[place - 1]
        least = min(least, p[at] * len(p) / place)
        adjusted[at] = least
    return adjusted


def _check_parameters(**values: float) -> None:
    for name, value in values.items():
        low = 0.5 if name == "power" else 0.0
        if not low <= value <= 1 or (name in ("q", "power") and value in (0, 1)):
            raise InvalidStep(
                f"The parameter {name} is {value}, outside its range.",
                hint=f"choose {name} between {low:g} and 1",
            )


def _urgency(column: ColumnDrift) -> tuple[int, float, str]:
    return (
        GRAVEST.index(column.verdict),
        -(column.effect or 0.0) * column.importance,
        column.name,
    )


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """The rule, with the thresholds it applies to every column."""

    q: float
    floor: float
    wanted: float
    power: float
    smallest: Mapping[str, float]
    adjusted: Mapping[tuple[str, str], float]

    def column(self, item: Evidence, importance: float) -> ColumnDrift:
        verdict, fired, reason = self._verdict(item)
        values = item.values if item.values is not None and item.values.size else None
        moved = sorted(item.bins, key=lambda piece: -piece.moved) if values else []
        return ColumnDrift(
            name=item.name,
            family=item.family,
            verdict=verdict,
            fired=fired,
            reason=reason,
            measure=values.measure if values else None,
            effect=values.effect if values else None,
            p=values.p if values else None,
            p_adjusted=self.adjusted.get((item.name, "values")),
            smallest_effect=self.smallest.get(item.name),
            reference_missing=item.reference_missing,
            current_missing=item.current_missing,
            psi=item.psi,
            moved=tuple(_moved(piece) for piece in moved[:_MOVED_SHOWN] if piece.moved),
            importance=importance,
        )

    def _verdict(self, item: Evidence) -> tuple[DriftVerdict, Check, str]:
        if item.schema:
            return "broken", "schema", item.schema
        missing = item.missing
        if missing is not None and missing.effect >= self.floor:
            adjusted = self.adjusted.get((item.name, "missing"), 1.0)
            if adjusted <= self.q:
                reason = (
                    f"its share of missing rows went from {item.reference_missing:.1%} "
                    f"to {item.current_missing:.1%}"
                )
                return "broken", "missing", reason
        if item.outside and item.values is not None and item.values.p <= self.q:
            return "broken", "range", item.outside
        return self._tested(item)

    def _tested(self, item: Evidence) -> tuple[DriftVerdict, Check, str]:
        if item.too_rare:
            reason = "every category is too rare to compare (an identifier?)"
            return "insufficient_data", "power", reason
        adjusted = self.adjusted.get((item.name, "values"))
        if adjusted is None or item.values is None:
            return self._too_small(item)
        effect = item.values.effect
        certain = "below 1e-9" if adjusted < _CERTAIN else f"{adjusted:.2g}"
        reason = (
            f"effect {effect:.3f} (floor {self.floor:g}), adjusted p {certain} (level {self.q:g})"
        )
        if effect >= self.floor and adjusted <= self.q:
            return "drifted", "distribution", reason
        return "stable", "none", reason

    def _too_small(self, item: Evidence) -> tuple[DriftVerdict, Check, str]:
        smallest = self.smallest.get(item.name)
        if item.reference_missing == item.current_missing == 1:
            return "stable", "none", "it has no values on either side"
        if smallest is None:
            return "insufficient_data", "power", "there are no values to compare"
        reason = (
            f"it has too few values to show an effect of {self.wanted:g} with a power of "
            f"{self.power:g}; the smallest it could show is {smallest:.2f}"
        )
        return "insufficient_data", "power", reason


def _moved(piece: Bin) -> MovedBin:
    return MovedBin(
        label=piece.label,
        low=piece.low,
        high=piece.high,
        category=piece.category,
        reference=piece.reference,
        current=piece.current,
    )
