"""Other rules, tried on what has been: stored profiles are judged again, and nothing is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from backbeat.drift.action import PastAction, PastVerdict, RetrainPolicy, act
from backbeat.drift.checking import judge, needed
from backbeat.drift.history import JudgedBatch, Monitor
from backbeat.drift.past import PastBatch
from backbeat.drift.profile import Profile
from backbeat.drift.rules import Rules
from backbeat.drift.verdict import DriftVerdict, Severity
from backbeat.errors import InvalidData

__all__ = ["Replayed", "Sight", "backtest", "retrainings", "rules_held"]


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What one set of rules says of a batch.

    Args:
        verdict: The batch's verdict.
        columns: The columns that raise an alarm, the worst first.
        calibrated: Whether the limits come from the columns' own history.
        severity: The batch's severity.
    """

    verdict: DriftVerdict
    columns: tuple[str, ...]
    calibrated: bool
    severity: Severity = "none"

    @property
    def alarm(self) -> bool:
        """Whether anybody is told."""
        return self.verdict in {"drifted", "broken"}


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One batch under the rules that hold and under those that are tried.

    Args:
        partition: The batch.
        now: What was decided; what the rules that hold say where nothing was.
        then: What the other rules say.
    """

    partition: str
    now: Sight
    then: Sight

    @property
    def changes(self) -> bool:
        """Whether the batch would get another verdict or other alarms."""
        return (self.now.verdict, set(self.now.columns)) != (
            self.then.verdict,
            set(self.then.columns),
        )


def backtest(
    monitor: Monitor,
    rules: Rules,
    *,
    since: str = "",
    until: str = "",
    progress: Callable[[int, int | None], None] = lambda *_: None,
) -> list[Replayed]:
    """Judge a monitor's batches in order, as if these rules had always held.

    Every batch sees only the ones before it, with the verdicts that the replay gave them; marks of
    people hold as they are now. The raw data is not needed.

    Args:
        monitor: The monitor.
        rules: The rules to try.
        since: The first batch to report; those before it are history. Empty for the first there is.
        until: The last one; empty for the last there is.
        progress: Told how many batches of how many are done.

    Returns:
        The batches in order; damaged ones are left out, with a warning.

    Raises:
        NotFound: There is no monitor.
        InvalidStep: The rules do not fit the partitions.
    """
    pinned = monitor.reference()
    edges = pinned.edges_digest
    names = [name for name in monitor.partitions(edges) if not until or name <= until]
    now = _Line(pinned, rules_held(monitor, edges, names))
    then = _Line(pinned, rules)
    found = []
    for done, name in enumerate(names, start=1):
        stored = monitor.stored(edges, name)
        if stored is not None:
            past, judged = stored
            muted = monitor.muted(name)
            was = now.told(past, judged) if judged else now.next(past, muted)
            is_then = then.next(past, muted)
            if name >= since:
                found.append(Replayed(partition=name, now=was, then=is_then))
        progress(done, len(names))
    return found


class _Line:
    """A run through the batches under one set of rules."""

    def __init__(self, pinned: Profile, rules: Rules) -> None:
        self._pinned = pinned
        self._rules = rules
        self._history: deque[PastBatch] = deque(maxlen=needed(rules))

    def next(self, batch: PastBatch, muted: dict[str, str]) -> Sight:
        decision = judge(
            batch.profile,
            pinned=self._pinned,
            rules=self._rules,
            history=tuple(self._history),
            partition=batch.partition,
            muted=muted,
        ).decision
        self._history.append(
            replace(
                batch,
                verdict=decision.verdict,
                fired=decision.fired,
                calibrated=decision.calibrated,
            )
        )
        return _sight(decision)

    def told(self, batch: PastBatch, judged: JudgedBatch) -> Sight:
        self._history.append(batch)
        return _sight(judged.decision)


class _Judged(Protocol):
    @property
    def verdict(self) -> DriftVerdict: ...
    @property
    def alarms(self) -> tuple[str, ...]: ...
    @property
    def calibrated(self) -> bool: ...
    @property
    def severity(self) -> Severity: ...


def _sight(found: _Judged) -> Sight:
    return Sight(
        verdict=found.verdict,
        columns=found.alarms,
        calibrated=found.calibrated,
        severity=found.severity,
    )


def retrainings(
    replayed: Sequence[Replayed], policy: RetrainPolicy, *, when: Literal["now", "then"]
) -> list[str]:
    """The batches that a policy would have retrained after, had it always held.

    Args:
        replayed: What `backtest` gave.
        policy: The policy.
        when: By the verdicts that were given, or by those of the rules that are tried.

    Raises:
        InvalidStep: A drifting batch's name begins with no day.
    """
    verdicts: list[PastVerdict] = []
    actions: list[PastAction] = []
    for day in replayed:
        sight: Sight = getattr(day, when)
        batch = PastVerdict(
            partition=day.partition,
            verdict=sight.verdict,
            severity=sight.severity,
            columns=sight.columns,
        )
        if act(policy, batch=batch, verdicts=verdicts, actions=actions).action == "retrain":
            actions.append(PastAction(partition=batch.partition, columns=batch.columns))
        verdicts.append(batch)
    return [entry.partition for entry in actions]


def rules_held(monitor: Monitor, edges: str, partitions: Sequence[str]) -> Rules:
    """The rules of the latest decision; the defaults where nothing was decided yet."""
    for name in reversed(partitions):
        try:
            judged = monitor.judged(edges, name)
        except InvalidData:
            continue  # whoever reads the batch is warned
        if judged is not None:
            return Rules.model_validate(judged.rules)
    return Rules()
