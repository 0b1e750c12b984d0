"""From drift to a retraining: once for a cause, not every night, and never beyond a budget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from backbeat.drift.marks import day_of
from backbeat.drift.verdict import DriftVerdict, Severity
from backbeat.errors import InvalidStep

__all__ = ["Action", "Because", "PastAction", "PastVerdict", "RetrainPolicy", "act"]

Because = Literal[
    "drift",
    "no_reference",
    "quiet",
    "severity",
    "superseded",
    "hysteresis",
    "same_cause",
    "cool_down",
    "budget",
]

_SEVERITIES: tuple[Severity, ...] = ("none", "low", "medium", "high")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RetrainPolicy(_Frozen):
    """When a drifting batch starts a retraining.

    A broken batch starts none: a model that is trained on broken data is not the remedy.

    Args:
        severity: The least severity that counts.
        after: Drifting batches in a row before a retraining starts.
        until: Quiet batches in a row before what drifted counts as over; a drift that comes back
            after fewer is the same one.
        cool_down_days: Days after a retraining in which no other one starts.
        repeat_after_days: Days after which the same cause may start another; None never does, for
            as long as the batches are compared with the same reference.
        budget: Most retrainings in `budget_days`.
        budget_days: The window of the budget.
    """

    severity: Severity = "low"
    after: int = Field(default=1, ge=1, le=100)
    until: int = Field(default=2, ge=1, le=100)
    cool_down_days: int = Field(default=7, ge=0, le=3660)
    repeat_after_days: int | None = Field(default=None, ge=1, le=3660)
    budget: int = Field(default=4, ge=0, le=1000)
    budget_days: int = Field(default=30, ge=1, le=3660)


class _Dated(_Frozen):
    partition: str

    @property
    def day(self) -> date:
        """The ISO day that the partition begins with; raises InvalidStep without one."""
        found = day_of(self.partition)
        if found is None:
            raise InvalidStep(
                f"the partition {self.partition!r} begins with no day, such as 2013-05-04",
                hint="name batches by their day where drift is to start a retraining",
            )
        return found


class PastVerdict(_Dated):
    """What was decided about one batch.

    Args:
        partition: Its name, which begins with its ISO day.
        verdict: The batch's verdict.
        severity: Its severity.
        columns: The columns that drifted.
        reference: What it was compared with: a digest of the reference's profile.
    """

    verdict: DriftVerdict
    severity: Severity = "none"
    columns: tuple[str, ...] = ()
    reference: str = ""


class PastAction(_Dated):
    """A retraining that drift has started.

    Args:
        partition: The batch that started it.
        columns: The columns that had drifted.
        reference: The reference of that batch.
    """

    columns: tuple[str, ...]
    reference: str = ""


class Action(_Frozen):
    """What follows from a batch.

    Args:
        action: `retrain`, or `hold`.
        because: The rule that decided.
        reason: The same for people, in one sentence.
        columns: The columns that are the cause.
    """

    action: Literal["retrain", "hold"]
    because: Because
    reason: str
    columns: tuple[str, ...] = ()


def act(
    policy: RetrainPolicy,
    *,
    batch: PastVerdict,
    verdicts: Sequence[PastVerdict],
    actions: Sequence[PastAction],
) -> Action:
    """Decide whether a batch starts a retraining.

    A batch that has started one gets the same answer again, as long as it drifts. One that is
    judged after a later batch has started one starts none.

    Args:
        policy: The rules.
        batch: The batch.
        verdicts: Past batches, in any order.
        actions: All retrainings so far, in any order.

    Raises:
        InvalidStep: Two past batches have one partition, or one begins with no day.
    """
    before = sorted(
        (past for past in verdicts if past.partition < batch.partition),
        key=lambda past: past.partition,
    )
    days = [past.partition for past in before]
    if len({*days}) != len(days):
        raise InvalidStep("Two past batches have the same partition.", hint="give each batch once")
    done = sorted(
        (past for past in actions if past.partition < batch.partition),
        key=lambda past: past.partition,
    )
    held = _too_little(policy, batch)
    if held is None and not _started(batch, actions):
        held = (
            _too_late(batch, actions)
            or _not_yet(policy, batch, before)
            or _not_again(policy, batch, before, done)
        )
    return held or Action(
        action="retrain",
        because="drift",
        reason=f"{', '.join(batch.columns) or 'the batch'} drifted",
        columns=batch.columns,
    )


def _started(batch: PastVerdict, actions: Sequence[PastAction]) -> bool:
    return any(
        (past.partition, past.reference) == (batch.partition, batch.reference) for past in actions
    )


def _too_little(policy: RetrainPolicy, batch: PastVerdict) -> Action | None:
    if batch.verdict != "drifted":
        return _hold("quiet", f"the batch is {_said(batch.verdict)}")
    if not _counts(batch, policy):
        reason = f"its severity is {batch.severity}, below {policy.severity}"
        return _hold("severity", reason, batch)
    return None


def _too_late(batch: PastVerdict, actions: Sequence[PastAction]) -> Action | None:
    later = max((past.partition for past in actions), default="")
    if later > batch.partition:
        reason = f"the later batch {later} has started a retraining already"
        return _hold("superseded", reason, batch)
    return None


def _not_yet(
    policy: RetrainPolicy, batch: PastVerdict, before: Sequence[PastVerdict]
) -> Action | None:
    """Why the row of drifting batches is too short; None where it is long enough."""
    streak = _streak(before, policy) + 1
    if streak < policy.after:
        reason = f"batch {streak} of the {policy.after} in a row that it takes"
        return _hold("hysteresis", reason, batch)
    return None


def _not_again(
    policy: RetrainPolicy,
    batch: PastVerdict,
    before: Sequence[PastVerdict],
    done: Sequence[PastAction],
) -> Action | None:
    """Why the retrainings of the past forbid another; None where they do not."""
    known = _known_cause(batch, before, done, policy)
    if known is not None:
        reason = f"the same columns started a retraining on {known.partition}"
        return _hold("same_cause", reason, batch)
    over = done[-1].day + timedelta(days=policy.cool_down_days) if done else date.min
    if batch.day < over:
        reason = f"the retraining of {done[-1].partition} cools down until {over}"
        return _hold("cool_down", reason, batch)
    since = batch.day - timedelta(days=policy.budget_days)
    spent = sum(past.day > since for past in done)
    if spent >= policy.budget:
        reason = f"{spent} of {policy.budget} retrainings in {policy.budget_days} days are spent"
        return _hold("budget", reason, batch)
    return None


def _hold(because: Because, reason: str, batch: PastVerdict | None = None) -> Action:
    columns = () if batch is None else batch.columns
    return Action(action="hold", because=because, reason=reason, columns=columns)


def _said(verdict: DriftVerdict) -> str:
    return "too small to tell" if verdict == "insufficient_data" else verdict


def _counts(past: PastVerdict, policy: RetrainPolicy) -> bool:
    enough = _SEVERITIES.index(past.severity) >= _SEVERITIES.index(policy.severity)
    return past.verdict == "drifted" and enough


def _streak(before: Sequence[PastVerdict], policy: RetrainPolicy) -> int:
    """Drifting batches in a row up to now; batches too small to tell neither count nor break it."""
    streak = 0
    for past in reversed(before):
        if past.verdict == "insufficient_data":
            continue
        if not _counts(past, policy):
            break
        streak += 1
    return streak


def _known_cause(
    batch: PastVerdict,
    before: Sequence[PastVerdict],
    done: Sequence[PastAction],
    policy: RetrainPolicy,
) -> PastAction | None:
    """The retraining that this cause has started already, as long as it is not over."""
    for past in reversed(done):
        if past.reference != batch.reference or not {*batch.columns} <= {*past.columns}:
            continue
        age = (batch.day - past.day).days
        if policy.repeat_after_days is not None and age >= policy.repeat_after_days:
            continue
        since = [verdict for verdict in before if verdict.partition > past.partition]
        if not _was_over(since, past, policy):
            return past
    return None


def _was_over(since: Sequence[PastVerdict], cause: PastAction, policy: RetrainPolicy) -> bool:
    quiet = 0
    for past in since:
        if past.verdict == "insufficient_data":
            continue
        again = past.verdict == "drifted" and {*past.columns} & {*cause.columns}
        quiet = 0 if again else quiet + 1
        if quiet >= policy.until:
            return True
    return False
