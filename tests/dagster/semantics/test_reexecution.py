"""What is performed again, and what is replayed, when a run is re-executed or retried."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from backbeat import Platform
from backbeat.signoff import requests

DAY = "2013-03-10"
ALL, FAILED, FAILED_ASSETS = "ALL_STEPS", "FROM_FAILURE", "FROM_ASSET_FAILURE"


def test_re_execution_after_fixing_the_training_code_retrains(
    dagster: Any, code: Any, records: Any
) -> None:
    """Another code digest, another MLflow run; the old one stays."""
    code(1.0)
    first = dagster.perform("training", DAY)
    code(0.25)
    second = dagster.again(first)
    before, after = (dagster.materialized(run)["trained"] for run in (first, second))
    assert (before["reused"], after["reused"]) == (False, False)
    assert before["run_id"] != after["run_id"]
    newest, oldest = records("trained")
    assert newest.inputs["code"] != oldest.inputs["code"]


def test_re_execution_without_a_change_finds_the_same_model(
    dagster: Any, code: Any, records: Any
) -> None:
    """It performs again, as a person has asked, and finds its own MLflow run by content."""
    code(1.0)
    first = dagster.perform("training", DAY)
    second = dagster.again(first)
    before, after = (dagster.materialized(run)["trained"] for run in (first, second))
    assert before["run_id"] == after["run_id"]
    assert (before["reused"], after["reused"]) == (False, True)
    assert [item.identity["run"] for item in records("trained")] == [second, first]


def test_a_persons_re_execution_performs_again(dagster: Any, marks: Any) -> None:
    """Everything is done again under the new run's name, also where it succeeded before."""
    first = dagster.perform("nightly", DAY)
    second = dagster.again(first)
    assert dagster.materialized(second)["second"]["run"] == second
    assert (marks(f"first@{DAY}"), marks(f"second@{DAY}")) == (2, 2)


def test_a_tag_that_a_re_execution_inherits_does_not_replay(dagster: Any, marks: Any) -> None:
    """Dagster copies a run's tags, `backbeat/run` too: the wish to perform again still counts."""
    first = dagster.perform("nightly", DAY, tags={"backbeat/run": "night"})
    second = dagster.again(first)
    assert dagster.instance.get_run_by_id(second).tags["backbeat/run"] == "night"
    assert dagster.materialized(first)["first"]["run"] == "night"
    assert dagster.materialized(second)["first"]["run"] == second
    assert marks(f"first@{DAY}") == 2


@pytest.mark.parametrize("strategy", [FAILED, FAILED_ASSETS])
def test_from_failure_performs_only_what_failed(
    dagster: Any, fault: Any, marks: Any, strategy: str
) -> None:
    """Dagster takes over what was done; what failed is performed, in the same workflow run."""
    fault("second", "performing", "InvalidData")
    first = dagster.perform("nightly", DAY)
    assert not dagster.succeeded(first)
    second = dagster.again(first, strategy)
    assert dagster.succeeded(second)
    assert dagster.executed(second) == {"second"}
    assert dagster.materialized(second)["second"]["run"] == first
    assert (marks(f"first@{DAY}"), marks(f"second@{DAY}")) == (1, 1)


@pytest.mark.parametrize("strategy", [FAILED, FAILED_ASSETS])
def test_from_failure_replays_what_dagster_did_not_come_to_know(
    dagster: Any, fault: Any, marks: Any, strategy: str
) -> None:
    """Killed after the record and before the materialization: recorded, so not performed twice."""
    fault("second", "finished", "kill")
    first = dagster.perform("nightly", DAY)
    assert "second" not in dagster.materialized(first)
    second = dagster.again(first, strategy)
    assert dagster.materialized(second)["second"]["run"] == first
    assert marks(f"second@{DAY}") == 1


def test_everything_after_a_resume_performs_again(dagster: Any, fault: Any, marks: Any) -> None:
    """A re-execution of all steps of a resumed run is a new wish, though Dagster copies its tag."""
    fault("second", "performing", "InvalidData")
    resumed = dagster.again(dagster.perform("nightly", DAY), FAILED_ASSETS)
    last = dagster.again(resumed)
    tags = dagster.instance.get_run_by_id(last).tags
    assert tags["dagster/is_asset_resume_retry"] == "true"
    assert dagster.materialized(last)["second"]["run"] == last
    assert marks(f"second@{DAY}") == 2


@pytest.mark.parametrize("strategy", [ALL, FAILED])
def test_the_daemons_retry_replays(dagster: Any, fault: Any, marks: Any, strategy: str) -> None:
    """An automatic run retry belongs to the run that crashed, whatever it executes again."""
    fault("second", "finished", "kill")
    tags = {"dagster/max_retries": "1", "dagster/retry_strategy": strategy}
    first = dagster.perform("nightly", DAY, tags=tags)
    dagster.retry_failed()
    (second,) = dagster.work()
    assert dagster.succeeded(second)
    assert dagster.executed(second) == {"second"} | ({"first"} if strategy == ALL else set())
    assert {made["run"] for made in dagster.materialized(second).values()} == {first}
    assert (marks(f"first@{DAY}"), marks(f"second@{DAY}")) == (1, 1)


def test_a_retry_of_a_persons_re_execution_belongs_to_it(
    dagster: Any, fault: Any, marks: Any
) -> None:
    """Retried by the daemon, a re-execution replays its own record and not its parent's."""
    first = dagster.perform(
        "nightly", DAY, tags={"backbeat/run": "night", "dagster/max_retries": "3"}
    )
    fault("second", "finished", "kill")
    second = dagster.again(first)
    dagster.retry_failed()
    (third,) = dagster.work()
    assert dagster.materialized(third)["second"]["run"] == second
    assert (marks(f"first@{DAY}"), marks(f"second@{DAY}")) == (2, 2)


def test_blocked_is_never_replayed(dagster: Any, approve: Any, champion: Any, records: Any) -> None:
    """A gate that has said no is asked again: from failure too, it performs and says no again."""
    asked = dagster.perform("gated", DAY)
    approve(choice="reject")
    dagster.look_only()
    (refused,) = dagster.work()
    again = dagster.again(refused, FAILED)
    assert not dagster.succeeded(again)
    assert "rejected by ada" in dagster.why(again)
    (record,) = records("table:signoff")
    assert (record.state, record.identity["run"]) == ("blocked", asked)
    # asked twice in the first run, then once a continuation
    assert record.token == 4


def test_waiting_is_never_replayed(dagster: Any, approve: Any, champion: Any) -> None:
    """A gate that waited is looked at again: a retry of the same run goes through once decided."""
    tags = {"backbeat/run": "night"}
    dagster.perform("gated", DAY, tags=tags)
    approve()
    second = dagster.perform("gated", DAY, tags=tags)
    assert {"approved", "promoted"} <= set(dagster.materialized(second))


def test_a_resume_does_not_ask_people_twice(
    dagster: Any, champion: Any, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed right after asking, a run that is resumed finds its own request."""

    def killed(*args: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as broken:  # the run's worker is forked from here
        broken.setattr("dagster_backbeat.signoff.read_request", killed)
        first = dagster.perform("gated", DAY)
    assert "table_signoff" in dagster.executed(first)
    (asked,) = requests(platform.ledger)
    second = dagster.again(first, FAILED)
    assert dagster.succeeded(second)
    assert "table_signoff" in dagster.executed(second)
    assert [state.request.request_id for state in requests(platform.ledger)] == [
        asked.request.request_id
    ]
