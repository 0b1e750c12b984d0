"""One batch of a watched table: counted, held against its reference and its past, and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from backbeat.canonical import digest
from backbeat.drift.decision import decide
from backbeat.drift.history import Monitor, covers
from backbeat.drift.past import PastBatch
from backbeat.drift.profile import Profile, build_profile
from backbeat.drift.reference import reference_of
from backbeat.drift.rules import Rules
from backbeat.drift.verdict import Decision
from backbeat.errors import InvalidData

__all__ = ["Checked", "cause", "check_batch", "count_batch", "judge", "keep", "needed"]

# as many days as `profile backfill` counts: a quarter of a year
_CALIBRATION = 90


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found out about a batch.

    Args:
        decision: The verdict.
        reference: The profile that it was compared with: the pinned one, or batches before it.
        current: The batch's own profile.
    """

    decision: Decision
    reference: Profile
    current: Profile


def count_batch(
    data: Any,
    reference: Profile,
    *,
    partition: str = "",
    progress: Callable[[int, int | None], None] | None = None,
) -> Profile:
    """Count a table's watched columns on the reference's edges; others are left out."""
    return build_profile(
        data,
        columns=tuple(reference.columns),
        edges_from=reference,
        partition=partition,
        progress=progress,
    )


def check_batch(
    data: Any,
    *,
    pinned: Profile,
    rules: Rules,
    partition: str = "",
    monitor: Monitor | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Checked:
    """Count a batch and decide about it; nothing is written.

    Args:
        data: The rows, as `build_profile` takes them.
        pinned: The profile that the model was trained on.
        rules: The thresholds.
        partition: The batch's name; with a monitor it says what is its past.
        monitor: Where the past batches are; None for a decision without history.
        progress: Told how many rows of how many are counted.

    Raises:
        InvalidData: The pinned profile holds the batch itself, or the rules compare with past
            batches and there is none.
        InvalidStep: The rules compare same weekdays, and the partition is no day.
    """
    if covers(pinned, partition):
        raise InvalidData(
            f"the reference ({pinned.partition}) contains the batch {partition} itself",
            hint="check a batch that the reference was not made from",
        )
    history: list[PastBatch] = []
    muted: dict[str, str] = {}
    if monitor is not None:
        history = monitor.past(pinned.edges_digest, before=partition, limit=needed(rules))
        muted = monitor.muted(partition)
    # before the rows are read: it refuses what could not be judged
    _reference(pinned, rules, history, partition)
    current = count_batch(data, pinned, partition=partition, progress=progress)
    return judge(
        current, pinned=pinned, rules=rules, history=history, partition=partition, muted=muted
    )


def judge(
    current: Profile,
    *,
    pinned: Profile,
    rules: Rules,
    history: Sequence[PastBatch] = (),
    partition: str = "",
    muted: Mapping[str, str] | None = None,
) -> Checked:
    """Decide about a batch whose past is known.

    Raises:
        InvalidData: The rules compare with past batches, and there is none.
        InvalidStep: They compare same weekdays, and the partition is no day.
    """
    reference, title = _reference(pinned, rules, history, partition)
    decision = decide(
        reference,
        current,
        rules=rules,
        history=history,
        partition=partition,
        # these mutes hold for the batch, whatever day it is now when it is judged again
        muted=dict.fromkeys(muted or {}, date.max.isoformat()),
    )
    columns = tuple(
        column.model_copy(update={"muted_until": (muted or {}).get(column.name)})
        for column in decision.columns
    )
    decision = decision.model_copy(update={"columns": columns, "reference_title": title})
    return Checked(decision=decision, reference=reference, current=current)


def _reference(
    pinned: Profile, rules: Rules, history: Sequence[PastBatch], partition: str
) -> tuple[Profile, str]:
    # a batch that lacked a column, or had it in another type, cannot be a part of a reference
    whole = [batch for batch in history if _fits(batch.profile, pinned)]
    return reference_of(rules, pinned, whole, partition)


def _fits(batch: Profile, pinned: Profile) -> bool:
    return all(
        name in batch.columns and batch.columns[name].kind == column.kind
        for name, column in pinned.columns.items()
    )


def keep(monitor: Monitor, checked: Checked, *, pinned: Profile, rules: Rules) -> str:
    """Write a batch and what was decided about it into its monitor; returns the batch's key."""
    edges, partition = pinned.edges_digest, checked.decision.partition
    reference = monitor.pin(pinned)
    # the batch last: one without a decision would count as an ordinary one
    monitor.write_decision(
        partition, checked.decision, edges=edges, rules=rules, reference=reference
    )
    return monitor.write_batch(partition, checked.current, edges=edges)


def needed(rules: Rules) -> int:
    """How many past batches a decision under these rules looks at."""
    return max(_CALIBRATION, rules.window, 7 * rules.weekdays, rules.min_history, rules.persistence)


def cause(decision: Decision) -> str:
    """One digest of which checks raised an alarm about which columns; empty without an alarm.

    The same cause on another day has the same digest, so that others can act on it once.
    """
    found = {("", finding.check) for finding in decision.findings}
    found |= {
        (column.name, finding.check)
        for column in decision.columns
        if column.alarming
        for finding in column.findings
    }
    return digest(sorted(map(list, found))) if found else ""
