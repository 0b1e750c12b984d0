"""The rule for one column: which checks fired, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backbeat.drift._bins import Bin
from backbeat.drift._evidence import Evidence
from backbeat.drift._past import Past, finding_of
from backbeat.drift.rules import Rules
from backbeat.drift.verdict import Check, ColumnDrift, DriftVerdict, Finding, MovedBin, Severity

__all__ = ["Judge", "severity_of"]

_MOVED_SHOWN = 3
_CERTAIN = 1e-9
# how far beyond its limit a column is when it is of medium and of high severity
_MEDIUM, _HIGH = 1.5, 3.0
_FAR = 1e6


@dataclass(frozen=True)
class _Fired:
    finding: Finding
    excess: float


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The rule, with all that it rests on.

    Args:
        rules: The thresholds.
        wanted: The effect that a batch must be large enough to show.
        past: The history.
        smallest: The smallest effect that each column could have shown.
        adjusted: p-values after Benjamini-Hochberg, by column and `values` or `missing`.
        direct: What needs no history, by column.
        streaks: Batches before this one, in a row, in which each column fired.
        muted: Until when each column is muted.
    """

    rules: Rules
    wanted: float
    past: Past
    smallest: Mapping[str, float]
    adjusted: Mapping[tuple[str, str], float]
    direct: Mapping[str, list[Finding]] = field(default_factory=dict)
    streaks: Mapping[str, int] = field(default_factory=dict)
    muted: Mapping[str, str] = field(default_factory=dict)

    def column(self, item: Evidence) -> ColumnDrift:
        """Everything that is known about a column, its verdict first."""
        importance = self.rules.importance.get(item.name, 1.0)
        broken, moved = self._broken(item), self._moved(item)
        verdict, fired, reason = self._verdict(item, broken, moved)
        findings = [each.finding for each in (*broken, *moved)]
        streak = self.streaks.get(item.name, 0) + 1 if findings else 0
        severity = severity_of(
            max((each.excess for each in (*broken, *moved)), default=0.0) * importance
        )
        if verdict == "drifted" and streak < self.rules.persistence:
            verdict = "stable"
            reason = f"{reason}; {streak} of {self.rules.persistence} batches in a row"
            severity = "low"
        until = self.muted.get(item.name)
        if until is not None:
            reason, severity = f"muted until {until}: {reason}", "none"
        values = item.values if item.values is not None and item.values.size else None
        bins = sorted(item.bins, key=lambda piece: -piece.moved) if values else []
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
            moved=tuple(_moved_bin(piece) for piece in bins[:_MOVED_SHOWN] if piece.moved),
            importance=importance,
            severity=severity,
            findings=tuple(findings),
            history=self.past.lines.get(item.name, ()),
            band=self.past.band(item.name),
            streak=streak,
            muted_until=until,
        )

    def _broken(self, item: Evidence) -> list[_Fired]:
        if item.schema:
            found = Finding(
                check="schema",
                statistic="schema",
                value=1.0,
                threshold=0.0,
                source="rule",
                sentence=item.schema,
            )
            return [_Fired(found, _FAR)]
        direct = [_Fired(finding, _FAR) for finding in self.direct.get(item.name, [])]
        if any(each.finding.check == "missing" for each in direct):
            return direct
        return [*direct, *self._missing(item)]

    def _missing(self, item: Evidence) -> list[_Fired]:
        missing, floor = item.missing, self.rules.effect_floor
        if missing is None:
            return []
        known = [one for one in self.past.of(item.name) if one.statistic.check == "missing"]
        if known:
            return [
                _Fired(finding_of(one, self.past.batches), one.excess)
                for one in known
                if one.fired and one.effect >= floor
            ]
        if missing.effect < floor or self.adjusted.get((item.name, "missing"), 1.0) > self.rules.q:
            return []
        sentence = (
            f"its share of missing rows went from {item.reference_missing:.1%} "
            f"to {item.current_missing:.1%}"
        )
        found = Finding(
            check="missing",
            statistic="change of the share of missing rows",
            value=missing.effect,
            threshold=floor,
            source="rule",
            sentence=sentence,
        )
        return [_Fired(found, missing.effect / max(floor, 1e-9))]

    def _moved(self, item: Evidence) -> list[_Fired]:
        if item.schema or item.values is None or not item.values.size:
            return []
        found = []
        for one in self.past.of(item.name):
            if one.statistic.check == "missing" or not one.fired:
                continue
            distance = one.statistic.check == "distribution"
            if distance and not self._significant(item):
                continue
            # departures from the history, in units of the reference's own shares
            effect = item.values.effect if distance else one.effect
            if effect >= self.rules.effect_floor:
                found.append(_Fired(finding_of(one, self.past.batches), one.excess))
        if self.past.calibrated(item.name):
            return sorted(found, key=lambda each: -each.excess)
        effect, floor = item.values.effect, self.rules.effect_floor
        if effect < floor or not self._significant(item):
            return []
        adjusted = self.adjusted[item.name, "values"]
        measured = Finding(
            check="distribution",
            statistic=item.values.measure,
            value=effect,
            threshold=floor,
            source="rule",
            sentence=self._tested(item),
        )
        certain = Finding(
            check="distribution",
            statistic="adjusted p",
            value=adjusted,
            threshold=self.rules.q,
            source="level",
            sentence=f"its adjusted p is {_written(adjusted)}, at most {self.rules.q:g}",
        )
        return [_Fired(measured, effect / max(floor, 1e-9)), _Fired(certain, 0.0)]

    def _significant(self, item: Evidence) -> bool:
        return self.adjusted.get((item.name, "values"), 1.0) <= self.rules.q

    def _verdict(
        self, item: Evidence, broken: list[_Fired], moved: list[_Fired]
    ) -> tuple[DriftVerdict, Check, str]:
        if broken or moved:
            first = (broken or moved)[0].finding
            return "broken" if broken else "drifted", first.check, first.sentence
        if item.too_rare:
            reason = "every category is too rare to compare (an identifier?)"
            return "insufficient_data", "power", reason
        smallest = self.smallest.get(item.name)
        if smallest is None:
            if item.reference_missing == item.current_missing == 1:
                return "stable", "none", "it has no values on either side"
            return "insufficient_data", "power", "there are no values to compare"
        # where the column's ordinary days differ by more than that, more rows would show no more
        if smallest > max(self.wanted, self.past.typical.get(item.name, 0.0)):
            reason = (
                f"it has too few values to show an effect of {self.wanted:g} with a power of "
                f"{self.rules.power:g}; the smallest it could show is {smallest:.2f}"
            )
            return "insufficient_data", "power", reason
        return "stable", "none", self._tested(item)

    def _tested(self, item: Evidence) -> str:
        adjusted = self.adjusted.get((item.name, "values"), 1.0)
        effect = 0.0 if item.values is None else item.values.effect
        band = self.past.band(item.name)
        if band is None and item.name == self.rules.time_column:
            return "it goes on from batch to batch, as a time column does"
        if band is not None:
            return f"effect {effect:.3f}, ordinary up to {band:.3f} in its own history"
        return (
            f"effect {effect:.3f} (floor {self.rules.effect_floor:g}), "
            f"adjusted p {_written(adjusted)} (level {self.rules.q:g})"
        )


def severity_of(excess: float) -> Severity:
    """From how many times its limit something is, weighed by importance."""
    if not excess:
        return "none"
    return "low" if excess < _MEDIUM else "medium" if excess < _HIGH else "high"


def _written(p: float) -> str:
    return "below 1e-9" if p < _CERTAIN else f"{p:.2g}"


def _moved_bin(piece: Bin) -> MovedBin:
    return MovedBin(
        label=piece.label,
        low=piece.low,
        high=piece.high,
        category=piece.category,
        reference=piece.reference,
        current=piece.current,
    )
