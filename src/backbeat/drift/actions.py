"""The log of retrainings that drift has started: append-only, one file each, beside a monitor."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from typing import Literal

from pydantic import ConfigDict, ValidationError

from backbeat.canonical import canonical_bytes
from backbeat.drift.action import Action, PastAction, PastVerdict, RetrainPolicy, act
from backbeat.drift.history import JudgedBatch, Monitor
from backbeat.drift.profile import Profile
from backbeat.drift.verdict import Decision
from backbeat.errors import InvalidData, LeaseHeld

__all__ = ["NO_REFERENCE", "ActionLog", "decide_action", "follow", "past_verdicts"]

NO_REFERENCE = Action(
    action="retrain",
    because="no_reference",
    reason="there is no model yet whose data could have drifted",
)
"""What follows where nothing was trained yet."""

_TRIES = 20
_LOOKED_AT = 200
_log = logging.getLogger(__name__)


class _Entry(PastAction):
    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal["backbeat.action"] = "backbeat.action"
    version: Literal[1] = 1
    reason: str = ""


class ActionLog:
    """A monitor's log, `<prefix>/actions/<number>.json`; each entry is created once and stays.

    Args:
        monitor: Whose.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._store = monitor.store
        self._folder = f"{monitor.prefix}/actions"

    def entries(self) -> list[PastAction]:
        """All retrainings, in the order in which they were started.

        Raises:
            InvalidData: An entry is damaged: without it a retraining could be started twice.
        """
        found: list[PastAction] = []
        for key in self._store.keys(f"{self._folder}/"):
            try:
                found.append(_Entry.model_validate(json.loads(self._store.read(key))))
            except (ValueError, ValidationError) as error:
                raise InvalidData(
                    f"{key} is truncated or no entry of the log of retrainings",
                    hint="restore the file, or remove it if that retraining never was",
                ) from error
        return found

    def append(self, entry: PastAction, *, reason: str, after: int) -> bool:
        """Add an entry behind so many others; False where another worker was faster."""
        content = _Entry(**entry.model_dump(), reason=reason)
        key = f"{self._folder}/{after + 1:06d}.json"
        return self._store.create(key, canonical_bytes(content.model_dump(mode="json")))


def decide_action(
    monitor: Monitor,
    policy: RetrainPolicy,
    batch: PastVerdict,
    verdicts: Iterable[PastVerdict],
    *,
    record: bool = True,
    ensure_current: Callable[[], None] = lambda: None,
) -> Action:
    """Decide what follows from a batch, and write a retraining into the log.

    Two workers that decide at once write one after the other: who comes second decides anew,
    knowing of the first. So a cause that both have seen starts one retraining.

    Args:
        monitor: Whose batch it is.
        policy: The rules.
        batch: What was decided about it.
        verdicts: Past batches.
        record: Whether to write; a dry run does not.
        ensure_current: Called before a retraining is written; raises FencedOut.

    Raises:
        InvalidData: The log is damaged.
        LeaseHeld: Other workers were always faster; a retry helps.
        InvalidStep: See `act`.
    """
    log = ActionLog(monitor)
    past = list(verdicts)
    for _ in range(_TRIES):
        actions = log.entries()
        found = act(policy, batch=batch, verdicts=past, actions=actions)
        known = any(
            (entry.partition, entry.reference) == (batch.partition, batch.reference)
            for entry in actions
        )
        if found.action == "hold" or known or not record:
            return found
        ensure_current()
        entry = PastAction(
            partition=batch.partition, columns=batch.columns, reference=batch.reference
        )
        if log.append(entry, reason=found.reason, after=len(actions)):
            return found
    raise LeaseHeld(
        f"other workers wrote into the log of {monitor.prefix} all the time",
        hint="let them finish",
        retry_after=1.0,
    )


def follow(
    monitor: Monitor,
    policy: RetrainPolicy,
    decision: Decision,
    *,
    pinned: Profile,
    record: bool = True,
    ensure_current: Callable[[], None] = lambda: None,
) -> Action:
    """`decide_action` for a batch that has just been judged; columns that are muted are no cause.

    Args:
        monitor: Whose batch it is.
        policy: The rules.
        decision: What was decided about the batch.
        pinned: The profile that the model was trained on.
        record: Whether to write; a dry run does not.
        ensure_current: Called before a retraining is written; raises FencedOut.
    """
    batch = PastVerdict(
        partition=decision.partition,
        verdict=decision.verdict,
        severity=decision.severity,
        columns=decision.alarms,
        reference=f"sha256:{hashlib.sha256(pinned.to_bytes()).hexdigest()}",
    )
    verdicts = past_verdicts(monitor, pinned.edges_digest, before=batch.partition)
    return decide_action(
        monitor, policy, batch, verdicts, record=record, ensure_current=ensure_current
    )


def past_verdicts(monitor: Monitor, edges: str, *, before: str) -> list[PastVerdict]:
    """What was decided about the batches before one, the latest half year of them, in order.

    Args:
        monitor: Whose batches.
        edges: Digest of the reference's edges.
        before: The batch; neither it nor any later one is its past.
    """
    names = [name for name in monitor.partitions(edges) if name < before]
    found = []
    for name in names[-_LOOKED_AT:]:
        judged = _judged(monitor, edges, name)
        if judged is not None:
            decision = judged.decision
            found.append(
                PastVerdict(
                    partition=name,
                    verdict=decision.verdict,
                    severity=decision.severity,
                    columns=decision.alarms,
                    reference=judged.reference,
                )
            )
    return found


def _judged(monitor: Monitor, edges: str, name: str) -> JudgedBatch | None:
    try:
        return monitor.judged(edges, name)
    except InvalidData as error:
        _log.warning("the history goes on without %s: %s", name, error.message)
        return None
