"""Which run continues a decided request: the first, another one after a crash, or none.

The first waits until the run that asked has ended: what that run still computes would be computed
twice, and its own gate may yet open by the decision.

Dagster never launches a run key twice, so a continuation that was killed would be the last one. It
is asked for again under the next attempt's key, a few times, where trying again can help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from backbeat import errors
from backbeat.ports import RunRecord
from dagster_backbeat._compat import (
    IMPLICIT_ASSET_JOB_NAME,
    JobFailureData,
    SerializableErrorInfo,
    StepFailureData,
)
from dagster_backbeat.identity import REQUEST_TAG, RUN_TAG, partition_of

__all__ = [
    "ATTEMPTS",
    "LOST_AFTER",
    "Continuation",
    "asking_runs",
    "continuation",
    "run_key",
    "selection",
]

ATTEMPTS = 3
LOST_AFTER = timedelta(hours=12)

_CRASHES = {"ChildProcessCrashException", "DagsterExecutionInterruptedError"}


@dataclass(frozen=True)
class Continuation:
    """What is to be done for a decided request.

    Args:
        attempt: Number of the continuation run to ask for now; None where there is none.
        settled: True once no other run will be asked for.
        reason: Why, for people.
    """

    attempt: int | None
    settled: bool
    reason: str


def run_key(request_id: str, attempt: int) -> str:
    """The run key of one attempt to continue."""
    return f"{request_id}:{attempt}"


def asking_runs(instance: dg.DagsterInstance, identity: Mapping[str, Any]) -> list[dg.DagsterRun]:
    """The runs that Dagster still knows of the workflow run that asked, and their re-executions.

    Args:
        instance: Where the runs are.
        identity: Who asked, as the ledger recorded it.
    """
    run_id = identity["run"]
    asked = instance.get_run_by_id(run_id)
    root = (asked and asked.root_run_id) or run_id
    family = [
        RunsFilter(run_ids=[run_id, root]),
        RunsFilter(tags={"dagster/root_run_id": root}),
        RunsFilter(tags={RUN_TAG: run_id}),
    ]
    found = {run.run_id: run for wanted in family for run in instance.get_runs(filters=wanted)}
    who = (identity["workflow"], identity["partition"])
    return [run for run in found.values() if (run.job_name, partition_of(run)) == who]


def selection(
    context: dg.SensorEvaluationContext, key: dg.AssetKey, identity: Mapping[str, Any]
) -> list[dg.AssetKey]:
    """The assets that a continuation materializes: one, and what lies behind it.

    As far as they belong to the job; where there is no job, as far as people asked for them.

    Args:
        context: Of the sensor that asks for it.
        key: The asset that waited.
        identity: Who asked, as it was recorded.
    """
    graph = context.repository_def.asset_graph
    behind = dg.AssetSelection.assets(key).downstream().resolve(graph)
    if identity["workflow"] != IMPLICIT_ASSET_JOB_NAME:
        job = context.repository_def.get_job(identity["workflow"])
        return sorted(behind & set(job.asset_layer.executable_asset_keys))
    asked = [run.asset_selection or () for run in asking_runs(context.instance, identity)]
    return sorted(behind & {key}.union(*asked))


def continuation(
    instance: dg.DagsterInstance, record: RunRecord, *, decided: datetime, tag: str = REQUEST_TAG
) -> Continuation:
    """Look at the runs that asked and at those that have continued so far, whoever launched them.

    A run that asked has ended when Dagster says so: it finished, Dagster's run monitoring failed
    it, or it was deleted; and no automatic retry of it is due. One of which none of this can be
    said, such as a run whose worker was lost on an instance without run monitoring, is waited for
    until `LOST_AFTER` the decision. To go on by then is safe: what is performed in both runs has
    one effect.

    Args:
        instance: Where the runs are.
        record: The step that asked.
        decided: When people decided its request.
        tag: The tag of a run that continues, whose value is the request's id.
    """
    request_id = str(record.request_id)
    runs = instance.get_runs(filters=RunsFilter(tags={tag: request_id}))
    if not runs:
        return _first(instance, record, decided)
    newest = runs[0]
    asked = max(_attempt(run, request_id) for run in runs)
    if newest.status is DagsterRunStatus.NOT_STARTED and asked:
        # under the same key the daemon launches the run that it could not launch before
        return Continuation(asked, settled=False, reason="its run was not launched")
    if _goes_on(newest):
        return Continuation(None, settled=False, reason=f"{newest.run_id} continues it")
    why_settled = _why_settled(instance, newest, asked)
    if why_settled is not None:
        return Continuation(None, settled=True, reason=why_settled)
    return Continuation(asked + 1, settled=False, reason=f"{newest.run_id} crashed")


def _first(instance: dg.DagsterInstance, record: RunRecord, decided: datetime) -> Continuation:
    if datetime.now(UTC) - decided < LOST_AFTER:
        for run in asking_runs(instance, record.identity):
            if _goes_on(run):
                return Continuation(None, settled=False, reason=f"{run.run_id} has yet to end")
    if record.state in {"done", "blocked"}:
        return Continuation(None, settled=True, reason="the run that asked went on by itself")
    return Continuation(1, settled=False, reason="it was decided")


def _goes_on(run: dg.DagsterRun) -> bool:
    return not run.is_finished or bool(run.is_complete_and_waiting_to_retry)


def _why_settled(instance: dg.DagsterInstance, run: dg.DagsterRun, asked: int) -> str | None:
    if run.status is not DagsterRunStatus.FAILURE:
        # a person who cancelled it does not want it again
        return f"{run.run_id} {run.status.value}"
    if not _can_pass(instance, run):
        return f"{run.run_id} failed for good"
    return f"{asked} runs have crashed" if asked >= ATTEMPTS else None


def _attempt(run: dg.DagsterRun, request_id: str) -> int:
    name, _, number = run.tags.get("dagster/run_key", "").rpartition(":")
    return int(number) if name == request_id and number.isdecimal() else 0


def _can_pass(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether it ended by a crash, or by an error that trying again can get past."""
    wanted = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    ended = [entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=wanted)]
    data = [event.event_specific_data for event in ended if event is not None]
    steps = [item for item in data if isinstance(item, StepFailureData)]
    if steps:
        return all(_step_can_pass(item) for item in steps)
    # no step has failed: the run's own process was lost, or could not be started
    whole = [item.error for item in data if isinstance(item, JobFailureData)]
    return not any(_is_final(name) for error in whole for name in _names(error))


def _step_can_pass(failure: StepFailureData) -> bool:
    if failure.user_failure_data is not None:
        # a step's error names itself; any other dg.Failure says so on purpose
        named = failure.user_failure_data.metadata.get("what")
        return named is not None and _is_retryable(str(named.value))
    names = _names(failure.error)
    return not names or any(name in _CRASHES or _is_retryable(name) for name in names)


def _names(error: SerializableErrorInfo | None) -> list[str]:
    names = []
    while error is not None:
        names.append(error.cls_name or "")
        error = error.cause
    return names


def _error(name: str) -> type[errors.BackbeatError] | None:
    found = getattr(errors, name, None)
    return found if name in errors.__all__ and found is not None else None


def _is_retryable(name: str) -> bool:
    error = _error(name)
    return error is not None and error.retryable


def _is_final(name: str) -> bool:
    error = _error(name)
    return error is not None and not error.retryable
