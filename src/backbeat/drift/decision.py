"""The decision over two profiles: is this batch still the data that the model knows?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from backbeat.drift._columns import CategoricalColumn, NumericColumn
from backbeat.drift._derive import Residual
from backbeat.drift._evidence import Evidence, gather
from backbeat.drift._judge import Judge, severity_of
from backbeat.drift._past import Past, finding_of, past_of
from backbeat.drift._statistics import BATCH
from backbeat.drift.direct import emptied, freshness, half_outside, half_unknown, rescaled
from backbeat.drift.past import PastBatch
from backbeat.drift.profile import Profile
from backbeat.drift.reference import refuse_itself
from backbeat.drift.rules import Rules
from backbeat.drift.verdict import (
    GRAVEST,
    ColumnDrift,
    Decision,
    Finding,
    SegmentDrift,
    Severity,
)
from backbeat.errors import InvalidStep

__all__ = ["benjamini_hochberg", "decide"]

_SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low", "none")
_SCALED = 2.0
_SMALL_BATCH = 10.0  # what is too small for a pass can alarm, at a tenth of the level


def decide(
    reference: Profile,
    current: Profile,
    *,
    rules: Rules | None = None,
    history: Sequence[PastBatch] = (),
    partition: str = "",
    muted: Mapping[str, str] | None = None,
    now: datetime | None = None,
    q: float | None = None,
    effect_floor: float | None = None,
    smallest_effect: float | None = None,
    power: float | None = None,
    importance: Mapping[str, float] | None = None,
) -> Decision:
    """Compare a batch with its reference and with its own past, column by column.

    *Broken*, whatever the history: a column is missing, new or of another type; it has no values
    any more; half of them left the reference's range or its list of categories; they are another
    unit's; the newest row is too old. Also broken: a share of missing rows, or a number of rows,
    beyond what the history calls ordinary.

    *Drifted*, with at least `min_history` ordinary past batches: a statistic of the column (its
    distance to the reference, its quantiles, categories that are new or gone) lies where at most
    `false_alarm` of ordinary batches have any of all columns' statistics, and its effect reaches
    `effect_floor`. Without that much history: the distance reaches `effect_floor` and its p-value,
    after Benjamini and Hochberg (1995) over all columns, is at most `q`.

    Else a batch too small to show `smallest_effect` at level `q` with this `power` is
    `insufficient_data`, never a pass. What such a batch shows all the same is drift at a tenth of
    the level.

    Args:
        reference: What the batch is compared with (`reference_of`).
        current: The batch, profiled with `edges_from=` the pinned profile.
        rules: The thresholds; the default ones where None.
        history: The batches before this one, the oldest first.
        partition: The batch's name, such as its ISO day.
        muted: ISO day until which each muted column raises no alarm.
        now: When freshness and mutes are judged; the present where None.
        q: Instead of the rules' own, like all that follows.
        effect_floor: Smallest effect that matters, 0 to 1.
        smallest_effect: The effect that the batch must be able to show.
        power: The probability with which it must be able to, 0.5 or more and below 1.
        importance: Weight per column for the ranking.

    Raises:
        InvalidData: The profiles were counted on different edges, or the reference or the history
            contains the batch itself.
        InvalidStep: A threshold is out of its range, or `time_column` is no column of moments.
    """
    rules = _changed(
        rules or Rules(),
        q=q,
        effect_floor=effect_floor,
        smallest_effect=smallest_effect,
        power=power,
        importance=importance,
    )
    now = (now or datetime.now(UTC)).astimezone(UTC)
    refuse_itself(reference, history, partition)
    found = [
        gather(name, reference, current)
        for name in dict.fromkeys([*reference.columns, *current.columns])
    ]
    wanted = rules.effect_floor if rules.smallest_effect is None else rules.smallest_effect
    comparable = [item.name for item in found if not item.schema]
    past = past_of(reference, current, comparable, history, rules, partition)
    smallest = {
        item.name: item.values.smallest_effect(q=rules.q, power=rules.power)
        for item in found
        if item.values is not None and item.values.size
    }
    judge = Judge(
        rules=rules,
        wanted=wanted,
        past=past,
        smallest=smallest,
        adjusted=_adjusted(found, smallest, rules, past),
        direct=_direct(found, reference, current, rules, past, now),
        streaks=_streaks(history),
        muted={n: day for n, day in (muted or {}).items() if day >= now.date().isoformat()},
    )
    judged = list(map(judge.column, found))
    consequences = _consequences(judged, reference)
    columns = sorted(judged, key=lambda column: _urgency(column, consequences))
    whole = [
        (finding_of(one, past.batches), one.excess)
        for one in past.of(BATCH)
        if one.fired and one.effect >= rules.effect_floor
    ]
    verdicts = {column.verdict for column in columns if column.muted_until is None}
    verdicts |= {"broken"} if whole else set()
    verdicts |= set() if current.rows else {"insufficient_data"}
    severities = {column.severity for column in columns}
    severities |= {severity_of(excess) for _, excess in whole}
    return Decision(
        verdict=next((verdict for verdict in GRAVEST if verdict in verdicts), "stable"),
        calibrated=bool(past.batches),
        q=rules.q,
        effect_floor=rules.effect_floor,
        smallest_effect=wanted,
        power=rules.power,
        reference_rows=reference.rows,
        current_rows=current.rows,
        columns=tuple(
            column.model_copy(update={"rank": rank}) for rank, column in enumerate(columns, start=1)
        ),
        against=rules.against,
        partition=partition,
        history_batches=past.batches,
        severity=next((each for each in _SEVERITIES if each in severities), "none"),
        segments=_segments(reference, current, rules, history, partition, now),
        findings=tuple(finding for finding, _ in whole),
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


def _changed(rules: Rules, **fields: Any) -> Rules:
    changed = {name: value for name, value in fields.items() if value is not None}
    try:
        return Rules.model_validate({**rules.model_dump(), **changed}) if changed else rules
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidStep(
            f"The parameter {name} is {first['input']!r}: {first['msg']}.",
            hint="see `backbeat.drift.Rules` for the thresholds and their ranges",
        ) from error


def _adjusted(
    found: Sequence[Evidence], smallest: Mapping[str, float], rules: Rules, past: Past
) -> dict[tuple[str, str], float]:
    wanted = rules.effect_floor if rules.smallest_effect is None else rules.smallest_effect
    tests: dict[tuple[str, str], float] = {}
    doubtful: dict[tuple[str, str], float] = {}
    for item in found:
        if item.missing is not None and item.missing.size:
            tests[item.name, "missing"] = item.missing.p
        if item.values is None or not item.values.size or item.too_rare:
            continue
        # a clock goes on from batch to batch: only its history can say what is unusual
        if item.name == rules.time_column and not past.calibrated(item.name):
            continue
        # with a history its limit says what is unusual in batches of this size
        large = past.calibrated(item.name) or smallest[item.name] <= wanted
        (tests if large else doubtful)[item.name, "values"] = item.values.p
    return {
        key: min(1.0, p * factor)
        for group, factor in ((tests, 1.0), (doubtful, _SMALL_BATCH))
        for key, p in zip(group, benjamini_hochberg(list(group.values())), strict=True)
    }


def _direct(
    found: Sequence[Evidence],
    reference: Profile,
    current: Profile,
    rules: Rules,
    past: Past,
    now: datetime,
) -> dict[str, list[Finding]]:
    direct: dict[str, list[Finding]] = {}
    for item in found:
        if not item.schema:
            checks = _checks(item, reference, current, rules, past)
            direct[item.name] = [finding for finding in checks if finding is not None]
    if current.rows and (stale := freshness(reference, current, rules, now)) is not None:
        direct.setdefault(rules.time_column or "", []).append(stale)
    return direct


def _checks(
    item: Evidence, reference: Profile, current: Profile, rules: Rules, past: Past
) -> list[Finding | None]:
    old, new = reference.columns[item.name], current.columns[item.name]
    checks = [emptied(old, new, old_rows=reference.rows, new_rows=current.rows, q=rules.q)]
    if item.values is None or item.values.p > rules.q:
        return checks
    if isinstance(old, NumericColumn) and isinstance(new, NumericColumn):
        unit = rescaled(old, new, item.values)
        if unit is not None and not _swings(past, item.name):
            checks.append(unit.finding())
        checks.append(half_outside(old, new))
    elif isinstance(old, CategoricalColumn) and isinstance(new, CategoricalColumn):
        checks.append(half_unknown(old, new))
    return checks


def _swings(past: Past, column: str) -> bool:
    """Whether the column's median has moved by half as much on ordinary days."""
    for one in past.of(column):
        if one.statistic.name == "q50":
            return abs(one.statistic.value - one.expected) < _SCALED * one.usual_error
    return False


def _streaks(history: Sequence[PastBatch]) -> dict[str, int]:
    if not history:
        return {}
    still = set(history[-1].fired)
    streaks = dict.fromkeys(still, 0)
    for batch in reversed(history):
        still &= set(batch.fired)
        if not still:
            break
        for name in still:
            streaks[name] += 1
    return streaks


def _segments(
    reference: Profile,
    current: Profile,
    rules: Rules,
    history: Sequence[PastBatch],
    partition: str,
    now: datetime,
) -> tuple[SegmentDrift, ...]:
    """Each segment's own verdict, which says where to look; the batch's is that of all its rows."""
    names = [name for name in reference.segments if name in current.segments]
    # all segments together are to alarm no more often than the batch
    stricter = rules.model_copy(
        update={"false_alarm": rules.false_alarm / max(1, len(names)), "max_age_hours": None}
    )
    found = []
    for name in names:
        before = [
            PastBatch(
                partition=batch.partition,
                profile=batch.profile.segments[name],
                verdict=batch.verdict,
                acknowledged=batch.acknowledged,
                calibrated=batch.calibrated,
            )
            for batch in history
            if name in batch.profile.segments
        ]
        decision = decide(
            reference.segments[name],
            current.segments[name],
            rules=stricter,
            history=before,
            partition=partition,
            now=now,
        )
        found.append(
            SegmentDrift(
                segment=name,
                verdict=decision.verdict,
                rows=decision.current_rows,
                columns=decision.alarms,
            )
        )
    return tuple(sorted(found, key=lambda each: (GRAVEST.index(each.verdict), each.segment)))


def _consequences(columns: Sequence[ColumnDrift], reference: Profile) -> set[str]:
    """Columns that are broken because one that explains them is, or one that they are made of."""
    broken = {column.name for column in columns if column.verdict == "broken"}
    return {
        derivation.name
        for derivation in reference.derivations
        if isinstance(derivation, Residual)
        and derivation.name in broken
        and broken & {derivation.column, *(term.column for term in derivation.terms)}
    }


def _urgency(
    column: ColumnDrift, consequences: Collection[str]
) -> tuple[bool, int, bool, float, str]:
    return (
        column.muted_until is not None,
        GRAVEST.index(column.verdict),
        column.name in consequences,
        -(column.effect or 0.0) * column.importance,
        column.name,
    )
