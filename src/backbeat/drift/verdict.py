"""What a drift check says: the verdict, every check that fired, and what it rests on."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict

from backbeat.drift.rules import Against

__all__ = [
    "GRAVEST",
    "BandPoint",
    "Check",
    "ColumnDrift",
    "Decision",
    "DriftVerdict",
    "Finding",
    "MovedBin",
    "SegmentDrift",
    "Severity",
]

DriftVerdict = Literal["stable", "drifted", "broken", "insufficient_data"]
Severity = Literal["none", "low", "medium", "high"]
Check = Literal[
    "schema",
    "missing",
    "range",
    "units",
    "location",
    "distribution",
    "conditional",
    "cardinality",
    "freshness",
    "volume",
    "power",
    "none",
]

GRAVEST: tuple[DriftVerdict, ...] = ("broken", "drifted", "insufficient_data", "stable")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Finding(_Frozen):
    """One check that fired.

    Args:
        check: Which one.
        statistic: What was measured, such as `ks`, `share of missing rows` or `q25`.
        value: What it is in this batch.
        threshold: The limit that it passed.
        source: Where the limit comes from: a declared rule, the level `q`, or the column's own
            history.
        sentence: The same for people.
    """

    check: Check
    statistic: str
    value: float
    threshold: float
    source: Literal["rule", "level", "history"]
    sentence: str


class BandPoint(_Frozen):
    """One batch on the line of a column's history.

    Args:
        partition: The batch.
        value: The column's effect in that batch, 0 to 1; None where it could not be measured.
        verdict: What was decided about the column then; None where nothing was.
    """

    partition: str
    value: float | None
    verdict: DriftVerdict | None = None


class SegmentDrift(_Frozen):
    """What was found in one segment of the rows.

    Args:
        segment: Such as `origin=JFK`.
        verdict: The segment's own verdict.
        rows: Its rows in the batch.
        columns: The columns that moved in it, the worst first.
    """

    segment: str
    verdict: DriftVerdict
    rows: int
    columns: tuple[str, ...] = ()


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
        severity: How far beyond its limits it is, weighed by importance.
        findings: Every check that fired, with its threshold.
        history: The column's effect in past batches, the oldest first.
        band: The effect up to which the column's own history calls a batch ordinary; None where
            that is not calibrated.
        streak: Batches in a row, this one included, in which a check of the column fired.
        muted_until: ISO day until which a person has muted the column; it raises no alarm till
            then.
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
    severity: Severity = "none"
    findings: tuple[Finding, ...] = ()
    history: tuple[BandPoint, ...] = ()
    band: float | None = None
    streak: int = 0
    muted_until: str | None = None

    @property
    def alarming(self) -> bool:
        """Whether the column drifted or is broken, and nobody has muted it."""
        return self.verdict in ("drifted", "broken") and self.muted_until is None


class Decision(_Frozen):
    """The verdict on a batch, with everything it rests on.

    Args:
        verdict: The gravest verdict of the batch as a whole and of any column that is not muted:
            broken, drifted, insufficient_data, stable.
        calibrated: Whether the thresholds come from the columns' own history.
        q: Level of the Benjamini-Hochberg procedure.
        effect_floor: An effect below this is no drift, however certain.
        smallest_effect: The effect that a batch must be large enough to show.
        power: The probability with which it must show it.
        reference_rows: Rows of the reference.
        current_rows: Rows of the batch.
        columns: All columns, the one to look at first at the front.
        against: Which reference the batch was compared with.
        partition: The batch, such as its ISO day; empty where it has no name.
        reference_title: The reference for people, such as `flights 7` or `the last 28 batches`.
        history_batches: How many past batches calibrated the thresholds.
        severity: The gravest severity of any column.
        segments: What was found per segment, where the profiles have them.
        findings: Every check of the batch as a whole that fired: volume.
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
    against: Against = "pinned"
    partition: str = ""
    reference_title: str = ""
    history_batches: int = 0
    severity: Severity = "none"
    segments: tuple[SegmentDrift, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def fired(self) -> tuple[str, ...]:
        """The columns of which a check fired, drifted or not, for the history of later batches."""
        return tuple(column.name for column in self.columns if column.findings)

    @property
    def alarms(self) -> tuple[str, ...]:
        """The columns that drifted or are broken and are not muted, the worst first."""
        return tuple(column.name for column in self.columns if column.alarming)

    @property
    def sentence(self) -> str:
        """The verdict for people, in one sentence."""
        heard = [column for column in self.columns if column.muted_until is None]
        found = Counter(column.verdict for column in heard)
        total = f"{len(self.columns)} column{'s' if len(self.columns) != 1 else ''}"
        if not self.current_rows:
            return "The batch is empty, so there is nothing to judge."
        if self.verdict == "stable":
            hushed = [
                column.name
                for column in self.columns
                if column.muted_until is not None and column.verdict in ("drifted", "broken")
            ]
            if not hushed:
                return f"No drift in {total}: the batch looks like the reference."
            others = len(self.columns) - len(hushed)
            verb = "moved and is muted" if len(hushed) == 1 else "moved and are muted"
            return f"{', '.join(hushed)} {verb}; no drift in {others} of {total}."
        parts = [
            f"{found[verdict]} of {total} {_SAID[verdict][found[verdict] != 1]}"
            for verdict in GRAVEST[:3]
            if found[verdict]
        ]
        whole = [finding.sentence for finding in self.findings]
        if not parts:
            return f"The batch as a whole is broken: {'; '.join(whole)}."
        looked = f"Look at {heard[0].name} first: {heard[0].reason}"
        return f"{'; '.join([*parts, *whole])}. {looked}."


_SAID: dict[str, tuple[str, str]] = {
    "broken": ("is broken", "are broken"),
    "drifted": ("drifted", "drifted"),
    "insufficient_data": ("has too little data to tell", "have too little data to tell"),
}
