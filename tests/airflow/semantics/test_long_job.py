"""A long job in real task processes: deferred, collected, cleared, and killed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backbeat import Platform
from backbeat.inference import read_scores
from backbeat.testing import BatchServer, batch_server

pytestmark = pytest.mark.timeout(300)
Start = Callable[..., Any]
SAID = [f"SAY {number}" for number in range(12)]


@pytest.fixture
def batches() -> Iterator[BatchServer]:
    """A real server of the Batch API."""
    with batch_server() as server:
        yield server


@pytest.fixture
def given(platform: Platform, batches: BatchServer) -> dict[str, str]:
    """What a run is started with; another output each time, for the store is shared."""
    name = uuid4().hex
    table = {"id": list(range(len(SAID))), "prompt": [said.lower() for said in SAID]}
    with platform.store.writing(f"prompts/{name}.parquet") as path:
        pq.write_table(pa.table(table), path)
    return {
        "model": batches.address,
        "data": f"prompts/{name}.parquet",
        "output": f"scores/{name}",
    }


def killed(run: Any) -> None:
    """What the triggerer does when a person has acted on a deferred task."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    from backbeat_provider.triggers.job import JobTrigger

    (ti,) = run.instances("deferred")
    with create_session() as session:
        trigger = JobTrigger(**session.get(Trigger, ti.trigger_id).kwargs)
    asyncio.run(trigger.on_kill())


def test_a_deferred_task_collects_what_its_job_has_answered(
    start: Start, platform: Platform, batches: BatchServer, given: dict[str, str]
) -> None:
    """Submitted in one process, waited for in none, collected in another: one job."""
    run = start("long_job", **given)
    assert run.play() == {"score": "deferred"}
    run.fire_triggers()
    assert run.play() == {"score": "success"}
    assert run.output("score")["jobs"] == list(batches.batches)
    assert read_scores(platform.store, given["output"])["text"].to_pylist() == SAID


def test_a_clear_of_a_deferred_task_cancels_its_job_and_asks_for_the_rest(
    start: Start, platform: Platform, batches: BatchServer, given: dict[str, str]
) -> None:
    """The job that its kill is still cancelling is no error of the task that was cleared."""
    batches.held = True
    run = start("long_job", **given)
    run.play()
    killed(run)
    assert batches.states == ["cancelling"]
    run.clear("score")
    batches.held = False
    assert run.play() == {"score": "deferred"}
    while run.states() == {"score": "deferred"}:
        run.fire_triggers()
        run.play()
    assert run.states() == {"score": "success"}
    assert len(batches.batches) == 2
    assert read_scores(platform.store, given["output"])["text"].to_pylist() == SAID


@pytest.mark.parametrize(
    ("number", "left", "jobs"), [("SIGTERM", "cancelling", 2), ("SIGKILL", "in_progress", 1)]
)
def test_a_kill_cancels_and_a_lost_worker_does_not(
    start: Start,
    platform: Platform,
    batches: BatchServer,
    given: dict[str, str],
    number: str,
    left: str,
    jobs: int,
) -> None:
    """In a real task process that waits: the retry asks for the rest, or finds the job."""
    batches.held = True
    run = start("long_job_in_worker", **given)

    def kill() -> None:
        end = time.monotonic() + 90
        while batches.looks.get("batch_2", 0) < 3 and time.monotonic() < end:
            time.sleep(0.1)
        (ti,) = run.instances("running")
        os.kill(ti.pid, signal.Signals[number])
        while batches.states != [left] and time.monotonic() < end:
            time.sleep(0.05)
        seen.extend(batches.states)
        batches.held = False

    seen: list[str] = []
    killing = threading.Thread(target=kill)
    killing.start()
    states = run.play()
    killing.join(90)
    assert seen == [left]
    assert states == {"score": "success"}
    assert len(batches.batches) == jobs
    assert read_scores(platform.store, given["output"])["text"].to_pylist() == SAID
