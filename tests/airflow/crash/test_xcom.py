"""A task process that is killed between its XComs and the state that Airflow records."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from backbeat import Platform

pytestmark = pytest.mark.timeout(300)


def test_xcoms_of_an_attempt_that_airflow_lost(
    start: Callable[..., Any], platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of the record; the retry replays it, and the event is announced once."""
    from airflow.sdk.execution_time import task_runner

    push = task_runner._push_xcom_if_needed

    def push_and_die(result: Any, ti: Any, log: Any) -> None:
        push(result, ti, log)
        if ti.try_number == 1 and ti.task_id == "note":
            os.kill(os.getpid(), signal.SIGKILL)

    # task processes are forked from this one
    monkeypatch.setattr(task_runner, "_push_xcom_if_needed", push_and_die)
    run = start("note")
    run.schedule()
    (first,) = run.instances("scheduled")
    run.execute(first)
    assert run.states()["note"] == "up_for_retry"
    (work,) = platform.ledger.runs()
    assert work.state == "done"
    early = run.output("note")
    assert early == {"rows": "3", "kind": "lineage.log/v1"}
    assert run.asset_events("note") == []

    assert run.play() == {"note": "success", "after": "success"}
    assert run.output("note") == early
    assert [event["kind"] for event in run.asset_events("note")] == ["lineage.log/v1"]
    assert platform.ledger.run(work.key) == work
