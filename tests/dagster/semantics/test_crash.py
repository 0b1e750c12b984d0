"""Processes that die, meet or wake up late: performed once, recorded once."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import dagster as dg

from backbeat import Platform

DAY = "2013-03-10"


def test_an_op_retry_after_a_crash_replays(
    dagster: Any, fault: Any, marks: Any, records: Any
) -> None:
    """The step's process is killed between the record and the materialization: one performance."""
    fault("second", "finished", "kill")
    run_id = dagster.perform("apart", DAY)
    assert dagster.succeeded(run_id)
    retries = dagster.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
    assert [entry.step_key for entry in retries] == ["second"]
    assert marks(f"second@{DAY}") == 1
    (record,) = records("second")
    assert (record.state, record.token) == ("done", 1)
    found = dagster.materialized(run_id)["second"]
    assert (found["name"], found["run"]) == ("second", run_id)
    assert found["backbeat/value"] == {"name": "second", "run": run_id}


def test_an_op_retry_after_a_crash_in_the_work_performs_again(
    dagster: Any, fault: Any, marks: Any, platform: Platform, records: Any
) -> None:
    """Killed before the record, nothing is replayed: a dead holder's lease is taken at once."""
    fault("second", "performing", "kill")
    run_id = dagster.perform("apart", DAY)
    assert dagster.succeeded(run_id)
    assert marks(f"second@{DAY}") == 1
    (record,) = records("second")
    endings = [attempt.ending for attempt in platform.ledger.attempts(record.key)]
    assert endings == ["lost", "done"]


def test_of_two_processes_at_the_same_work_one_performs(
    dagster: Any, fault: Any, marks: Any, folder: Path, records: Any, until: Any
) -> None:
    """The second of two runs of one night waits for the first, and hands out what it recorded."""
    fault("first", "performing", "hold")
    runs = [dagster.launch("nightly", DAY, tags={"backbeat/run": "night"}) for _ in range(2)]
    one, other = dagster.start()
    until((folder / "held").exists, "one of them performs")
    retry = dg.DagsterEventType.STEP_UP_FOR_RETRY
    until(
        lambda: any(dagster.instance.all_logs(run, of_type=retry) for run in runs),
        "the other one waits",
    )
    (folder / "go").touch()
    assert one.end()
    assert other.end()
    assert (marks(f"first@{DAY}"), marks(f"second@{DAY}")) == (1, 1)
    for run_id in runs:
        found = dagster.materialized(run_id)
        assert {name: made["run"] for name, made in found.items()} == {
            "first": "night",
            "second": "night",
        }
    assert [record.state for record in records("first")] == ["done"]


def test_a_zombie_records_nothing(
    dagster: Any, fault: Any, folder: Path, platform: Platform, records: Any, until: Any
) -> None:
    """A worker that was stopped wakes up after its retry has finished: refused, one effect."""
    fault("second", "performing", "stop")
    first = dagster.launch("nightly", DAY, tags={"dagster/max_retries": "1"})
    (zombie,) = dagster.start()
    until(zombie.is_stopped, "the worker is stopped in its work")
    zombie.lost()
    dagster.retry_failed()
    (second,) = dagster.work()
    assert dagster.succeeded(second)
    (before,) = records("second")
    os.kill(zombie.pid, signal.SIGCONT)
    zombie.end()
    assert "FencedOut" in dagster.why(first)
    assert "second" not in dagster.materialized(first)
    assert records("second") == [before]
    endings = [attempt.ending for attempt in platform.ledger.attempts(before.key)]
    assert endings == ["lost", "done"]
    # one stamp each of `first` and `second`
    assert len(list((folder / "store/stamps").iterdir())) == 2


def test_a_zombie_logs_no_model(
    dagster: Any, code: Any, fault: Any, folder: Path, platform: Platform, records: Any, until: Any
) -> None:
    """Stopped while it trains, it wakes up to find itself fenced out, and logs no second run."""
    from mlflow import MlflowClient

    code(1.0)
    fault("training", "performing", "stop")
    first = dagster.launch("training", DAY, tags={"dagster/max_retries": "1"})
    (zombie,) = dagster.start()
    until(zombie.is_stopped, "the worker is stopped in its training")
    zombie.lost()
    dagster.retry_failed()
    (second,) = dagster.work()
    made = dagster.materialized(second)["trained"]
    files = sorted((folder / "store").rglob("*"))
    os.kill(zombie.pid, signal.SIGCONT)
    zombie.end()
    assert "FencedOut" in dagster.why(first)
    assert dagster.materialized(first) == {}
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiments = [item.experiment_id for item in client.search_experiments()]
    assert [run.info.run_id for run in client.search_runs(experiments)] == [made["run_id"]]
    assert sorted((folder / "store").rglob("*")) == files
    (record,) = records("trained")
    assert (record.state, record.token) == ("done", 2)
