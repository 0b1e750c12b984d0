"""The decision over two profiles: is this batch still the data that the model knows?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from backbeat.drift._bins import Bin
from backbeat.drift._evidence import Evidence, gather
from backbeat.drift.profile import Profile
from backbeat.errors import InvalidStep

__all__ = ["ColumnDrift", "Decision", "MovedBin", "decide"]

DriftVerdict = Literal["stable", "drifted", "broken", "insufficient_data"]
Check = Literal["schema", "missing", "range", "distribution", "power", "none"]

_GRAVEST: tuple[DriftVerdict, ...] = ("broken", "drifted", "insufficient_data", "stable")
_MOVED_SHOWN = 3
_CERTAIN = 1e-9


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MovedBin(_Frozen):
    """A range or category whose share changed.

    Args:
        label: The range or category as people read it.
        low: Values are greater than this; None for a category or an open range.
        high: Values are at most this; None likewise.
        category: The category, None for a range and for the rest of the categories.
        reference: Share of the reference's values, 0 to 1.
        current: Share of the current values, 0 to 1.
    """

    label: str
    low: float | None
    high: float | None
    category: str | None
    reference: float
    current: float


class ColumnDrift(_Frozen):
    """What was found in one column.

    Args:
        name: The column.
        family: What its values are (`number`, `category`, ...).
        verdict: The column's own verdict.
        fired: The check that gave the verdict.
        reason: The same as a sentence, with the thresholds.
        measure: `ks` or `chi2`, None where the values could not be compared.
        effect: Kolmogorov-Smirnov's D, or the chi-square effect, 0 to 1.
        p: p-value of the comparison of values.
        p_adjusted: p after Benjamini-Hochberg; None where the column was not tested.
        smallest_effect: The smallest effect this number of rows could have shown.
        reference_missing: Share of the reference's rows that are null or NaN.
        current_missing: Share of the current rows that are.
        psi: Population stability index, for display only.
        moved: The bins that moved most, at most three.
        rank: 1 for the column to look at first.
        importance: The weight that effects are ranked by.
    """

    name: str
    family: str
    verdict: DriftVerdict
    fired: Check
    reason: str
    measure: str | None = None
    effect: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    smallest_effect: float | None = None
    reference_missing: float = 0.0
    current_missing: float = 0.0
    psi: float | None = None
    moved: tuple[MovedBin, ...] = ()
    rank: int = 0
    importance: float = 1.0


class Decision(_Frozen):
    """The verdict on a batch, with everything it rests on.

    Args:
        verdict: The gravest verdict of any column: broken, drifted, insufficient_data, stable.
        calibrated: Whether the thresholds come from the columns' own history.
        q: Level of the Benjamini-Hochberg procedure.
        effect_floor: An effect below this is no drift, however certain.
        smallest_effect: The effect that a batch must be large enough to show.
        power: The probability with which it must show it.
        reference_rows: Rows of the reference.
        current_rows: Rows of the batch.
        columns: All columns, the one to look at first at the front.
    """

    verdict: DriftVerdict
    calibrated: bool = False
    q: float
    effect_floor: float
    smallest_effect: float
    power: float
    reference_rows: int
    current_rows: int
    columns: tuple[ColumnDrift, ...]

    @property
    def sentence(self) -> str:
        """The verdict for people, in one sentence."""
        found = Counter(column.verdict for column in self.columns)
        total = f"{len(self.columns)} column{'s' if len(self.columns) != 1 else ''}"
        if not self.current_rows:
            return "The batch is empty, so there is nothing to judge."
        if self.verdict == "stable":
            return f"No drift in {total}: the batch looks like the reference."
        parts = [
            f"{found[verdict]} of {total} {_SAID[verdict][found[verdict] != 1]}"
            for verdict in _GRAVEST[:3]
            if found[verdict]
        ]
        first = self.columns[0]
        return f"{'; '.join(parts)}. Look at {first.name} first: {first.reason}."


_SAID: dict[str, tuple[str, str]] = {
    "broken": ("is broken", "are broken"),
    "drifted": ("drifted", "drifted"),
    "insufficient_data": ("has too little data to tell", "have too little data to tell"),
}


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
        verdict=next((verdict for verdict in _GRAVEST if verdict in verdicts), "stable"),
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
        _GRAVEST.index(column.verdict),
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
