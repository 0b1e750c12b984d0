"""Which run continues a decided request: the first, another one after a crash, or none.

Dagster never launches a run key twice, so a continuation that was killed would be the last one. It
is asked for again under the next attempt's key, a few times, where trying again can help.
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from backbeat import errors
from dagster_backbeat._compat import JobFailureData, SerializableErrorInfo, StepFailureData
from dagster_backbeat.identity import REQUEST_TAG

__all__ = ["ATTEMPTS", "Continuation", "continuation", "run_key"]

ATTEMPTS = 3

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


def continuation(instance: dg.DagsterInstance, request_id: str) -> Continuation:
    """Look at the runs that have continued a request so far, whoever launched them.

    Args:
        instance: Where the runs are.
        request_id: A request that people have decided.
    """
    runs = instance.get_runs(filters=RunsFilter(tags={REQUEST_TAG: request_id}))
    if not runs:
        return Continuation(1, settled=False, reason="it was decided")
    newest = runs[0]
    asked = max(_attempt(run, request_id) for run in runs)
    if newest.status is DagsterRunStatus.NOT_STARTED and asked:
        # under the same key the daemon launches the run that it could not launch before
        return Continuation(asked, settled=False, reason="its run was not launched")
    if not newest.is_finished or newest.tags.get("dagster/will_retry") == "true":
        return Continuation(None, settled=False, reason=f"{newest.run_id} continues it")
    why_settled = _why_settled(instance, newest, asked)
    if why_settled is not None:
        return Continuation(None, settled=True, reason=why_settled)
    return Continuation(asked + 1, settled=False, reason=f"{newest.run_id} crashed")


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
