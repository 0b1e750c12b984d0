"""When the sensor continues: not before the run that asked has ended, and also without a job."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from dagster import RunsFilter
from run_worker import Worker

import dagster_backbeat.signoff
import dagster_backbeat.step_asset

DAY = "2013-03-10"
ASSET_JOB = "__ASSET_JOB"
CHECK = dg.AssetCheckKey(dg.AssetKey("table"), "signoff")
BEFORE_THE_GATE = (dagster_backbeat.signoff, "read_request")
BEHIND_THE_GATE = (dagster_backbeat.step_asset, "materialized")


@pytest.fixture
def decided_meanwhile(
    dagster: Any, champion: Any, approve: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Worker, str]]]:
    """Starts a run that stops itself somewhere after it has asked, and lets people approve."""
    workers: list[Worker] = []

    def start(place: tuple[Any, str], **options: Any) -> tuple[Worker, str]:
        module, name = place
        original = getattr(module, name)

        def stopped(*args: Any, **fields: Any) -> Any:
            os.kill(os.getpid(), signal.SIGSTOP)
            return original(*args, **fields)

        dagster.launch("gated", DAY, **options)
        with monkeypatch.context() as broken:  # the run's worker is forked from here
            broken.setattr(module, name, stopped)
            (worker,) = dagster.start()
        workers.append(worker)
        until(worker.is_stopped, "the run has asked and goes on")
        return worker, approve()

    yield start
    for worker in workers:
        if not worker.is_over:
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)


@pytest.fixture
def continued(dagster: Any) -> Callable[[str], list[dg.DagsterRun]]:
    """The runs that continue a request."""
    return lambda request_id: dagster.instance.get_runs(
        RunsFilter(tags={"backbeat/request": request_id})
    )


def _shown(dagster: Any) -> list[str]:
    """How the check was evaluated, newest first."""
    storage = dagster.instance.event_log_storage
    found = storage.get_asset_check_execution_history(check_key=CHECK, limit=9)
    return [record.status.value for record in found if record.status.value != "PLANNED"]


def test_a_decision_waits_for_the_end_of_the_run_that_asked(
    dagster: Any, decided_meanwhile: Any, continued: Any, champion: Any
) -> None:
    """People see at once that it counts; the continuation starts once, after the run."""
    worker, request_id = decided_meanwhile(BEHIND_THE_GATE)
    dagster.look_only()
    dagster.look_only()
    assert continued(request_id) == []
    assert _shown(dagster) == ["SUCCEEDED", "FAILED"]
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.end()
    (run_id,) = dagster.look()
    assert set(dagster.materialized(run_id)) == {"approved", "promoted", "announced"}
    assert champion() == "2"
    assert dagster.look() == []
    assert _shown(dagster) == ["SUCCEEDED", "FAILED"]


def test_a_run_that_goes_through_its_own_gate_is_not_continued(
    dagster: Any, decided_meanwhile: Any, continued: Any, marks: Any
) -> None:
    """Decided before the gate is reached: the run that asked does it all, nothing is repeated."""
    worker, request_id = decided_meanwhile(BEFORE_THE_GATE)
    dagster.look_only()
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.end()
    assert set(dagster.materialized(worker.run_id)) >= {"approved", "promoted", "announced"}
    assert dagster.look() == []
    assert continued(request_id) == []
    assert marks(f"announced@{DAY}") == 1
    assert set(_shown(dagster)) == {"SUCCEEDED"}


def test_a_run_that_dagster_retries_is_not_continued(
    dagster: Any, decided_meanwhile: Any, continued: Any, marks: Any
) -> None:
    """Between a crash and its automatic retry the run that asked has not ended."""
    worker, request_id = decided_meanwhile(BEHIND_THE_GATE, tags={"dagster/max_retries": "1"})
    os.kill(worker.pid, signal.SIGKILL)
    assert not worker.end()
    assert dagster.look() == []
    dagster.retry_failed()
    (retried,) = dagster.work()
    assert set(dagster.materialized(retried)) == {"approved", "promoted", "announced"}
    assert dagster.look() == []
    assert continued(request_id) == []
    assert marks(f"announced@{DAY}") == 1


@pytest.mark.parametrize("what", ["monitored", "deleted", "long ago"])
def test_a_lost_run_holds_nothing_up_for_ever(
    dagster: Any,
    decided_meanwhile: Any,
    continued: Any,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """The run monitor's word, a person who deletes the run, and time let the decision go on."""
    worker, request_id = decided_meanwhile(BEHIND_THE_GATE)
    os.kill(worker.pid, signal.SIGKILL)
    dagster.look_only()
    assert continued(request_id) == []
    if what == "monitored":
        worker.lost()
    elif what == "deleted":
        dagster.instance.delete_run(worker.run_id)
    else:
        monkeypatch.setattr("dagster_backbeat.continuation.LOST_AFTER", timedelta(0))
    dagster.look_only()
    (run,) = continued(request_id)
    assert run.tags["dagster/run_key"] == f"{request_id}:1"


def test_assets_that_were_materialized_without_a_job_are_continued(
    dagster: Any, champion: Any, approve: Any, continued: Any
) -> None:
    """The continuation is of the same implicit job, and does what people had selected."""
    dagster.perform(ASSET_JOB, DAY, assets=["table", "approved", "promoted"])
    request_id = approve()
    (run_id,) = dagster.look()
    assert set(dagster.materialized(run_id)) == {"approved", "promoted"}
    assert champion() == "2"
    assert dagster.look() == []
    assert [run.job_name for run in continued(request_id)] == [ASSET_JOB]


@pytest.mark.parametrize("by", ["Materialize", "backfill"])
def test_what_nobody_selected_stays_behind_the_gate(
    dagster: Any, champion: Any, approve: Any, by: str
) -> None:
    """Asked for the one asset only: the gate opens, and a person may go on from there."""
    if by == "backfill":
        dagster.backfill([DAY], asset="table")
    else:
        dagster.perform(ASSET_JOB, DAY, assets=["table"])
    approve()
    (run_id,) = dagster.look()
    assert set(dagster.materialized(run_id)) == {"approved"}
    assert champion() == "1"
    assert dagster.look() == []
    again = dagster.perform(ASSET_JOB, DAY, assets=["promoted"])
    assert set(dagster.materialized(again)) == {"promoted"}
    assert champion() == "2"
