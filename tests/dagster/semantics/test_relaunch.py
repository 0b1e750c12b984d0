"""What the sensor launches for a decision: one run, another one after a crash, no more."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from dagster import RunsFilter

DAY = "2013-03-10"


@pytest.fixture
def keys(dagster: Any) -> Callable[[str], list[str]]:
    """The run keys under which a request was continued, oldest first."""

    def of(request_id: str) -> list[str]:
        runs = dagster.instance.get_runs(RunsFilter(tags={"backbeat/request": request_id}))
        return [run.tags["dagster/run_key"] for run in reversed(runs)]

    return of


@pytest.fixture
def decided(dagster: Any, champion: Any, approve: Any) -> str:
    """A request of a run that is over, approved while no daemon was running."""
    dagster.perform("gated", DAY)
    return str(approve())


def test_a_decision_while_the_daemon_was_down_gives_one_run(
    dagster: Any, decided: str, keys: Any, champion: Any
) -> None:
    """The first look finds it; later looks, also of a daemon that lost its cursor, add nothing."""
    (run_id,) = dagster.look()
    assert set(dagster.materialized(run_id)) == {"approved", "promoted", "announced"}
    assert champion() == "2"
    assert dagster.look() == []
    dagster.forget_cursor()
    assert dagster.look() == []
    assert keys(decided) == [f"{decided}:1"]


def test_a_daemon_that_dies_before_it_saves_its_cursor_launches_once(
    dagster: Any, decided: str, keys: Any
) -> None:
    """The run key is the same in both looks, and Dagster knows it."""
    dagster.look_only()
    dagster.forget_cursor()
    dagster.look_only()
    assert len(dagster.work()) == 1
    assert keys(decided) == [f"{decided}:1"]


def test_a_continuation_that_was_killed_is_launched_again(
    dagster: Any, decided: str, keys: Any, champion: Any
) -> None:
    """Its worker is gone before it did anything: a new attempt number, and the decision counts."""
    dagster.look_only()
    (worker,) = dagster.start()
    os.kill(worker.pid, signal.SIGKILL)
    assert not worker.end()
    (second,) = dagster.look()
    assert dagster.succeeded(second)
    assert keys(decided) == [f"{decided}:1", f"{decided}:2"]
    assert champion() == "2"
    assert dagster.look() == []


def test_a_crash_behind_the_gate_is_continued_too(
    dagster: Any, decided: str, fault: Any, marks: Any, keys: Any
) -> None:
    """The gate is done and what lies behind it was killed: it is performed by the next attempt."""
    fault("announced", "performing", "kill")
    (first,) = dagster.look()
    assert set(dagster.materialized(first)) == {"approved", "promoted"}
    (second,) = dagster.look()
    assert set(dagster.materialized(second)) == {"approved", "promoted", "announced"}
    assert dagster.materialized(second)["promoted"]["version"] == "2"
    assert marks(f"announced@{DAY}") == 1
    assert keys(decided) == [f"{decided}:1", f"{decided}:2"]


def test_an_error_that_a_retry_can_help_is_continued(
    dagster: Any, decided: str, fault: Any, marks: Any
) -> None:
    """A server that stays away longer than the step's own retries is met again later."""
    fault("announced", "performing", "Unreachable", 3)
    (first,) = dagster.look()
    assert not dagster.succeeded(first)
    assert "Unreachable" in dagster.why(first)
    (second,) = dagster.look()
    assert dagster.succeeded(second)
    assert marks(f"announced@{DAY}") == 1


def test_it_gives_up_after_three_attempts(
    dagster: Any, decided: str, fault: Any, keys: Any
) -> None:
    """What kills every worker is not fed workers for ever."""
    fault("announced", "performing", "kill", 99)
    launched = [len(dagster.look()) for _ in range(5)]
    assert launched == [1, 1, 1, 0, 0]
    assert keys(decided) == [f"{decided}:{attempt}" for attempt in (1, 2, 3)]


@pytest.mark.parametrize("what", ["Refused", "InvalidData", "a bug"])
def test_what_failed_for_good_is_not_launched_again(
    dagster: Any, decided: str, fault: Any, keys: Any, what: str
) -> None:
    """A refusal, bad data and an exception of somebody's code need a person."""
    fault("announced", "performing", what, 99)
    (first,) = dagster.look()
    assert not dagster.succeeded(first)
    assert dagster.look() == []
    assert dagster.look() == []
    assert keys(decided) == [f"{decided}:1"]


def test_a_rejection_is_not_launched_again(
    dagster: Any, champion: Any, approve: Any, keys: Any
) -> None:
    """The gate says no once; nothing asks it again."""
    dagster.perform("gated", DAY)
    request_id = approve(choice="reject")
    (first,) = dagster.look()
    assert not dagster.succeeded(first)
    assert dagster.look() == []
    assert keys(request_id) == [f"{request_id}:1"]


def test_a_cancelled_continuation_stays_cancelled(dagster: Any, decided: str, keys: Any) -> None:
    """A person who terminates it does not get it back."""
    dagster.look_only()
    (run,) = dagster.instance.get_runs(RunsFilter(tags={"backbeat/request": decided}))
    dagster.instance.report_run_canceled(run)
    assert dagster.look() == []
    assert keys(decided) == [f"{decided}:1"]


def test_dagsters_own_retry_is_not_doubled(
    dagster: Any, decided: str, fault: Any, keys: Any, marks: Any
) -> None:
    """Where the daemon retries the run, the sensor leaves it to it."""
    fault("announced", "performing", "kill")
    dagster.look_only()
    (run,) = dagster.instance.get_runs(RunsFilter(tags={"backbeat/request": decided}))
    dagster.instance.add_run_tags(run.run_id, {"dagster/max_retries": "1"})
    dagster.work()
    assert dagster.look() == []
    dagster.retry_failed()
    (retried,) = dagster.work()
    assert set(dagster.materialized(retried)) == {"announced"}
    assert dagster.look() == []
    assert marks(f"announced@{DAY}") == 1
    assert set(keys(decided)) == {f"{decided}:1"}
