"""A table scored by a remote job, in a task that holds no slot while it waits."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from backbeat import embedded
from backbeat.inference import read_scores
from backbeat.testing import BatchServer, batch_server
from backbeat_provider.operators import BatchInferenceOperator
from backbeat_provider.triggers.job import JobTrigger

Context = Callable[..., dict[str, Any]]
ROWS = 12


@pytest.fixture
def batches() -> Iterator[BatchServer]:
    """A real server of the Batch API."""
    with batch_server() as server:
        yield server


def task(folder: Path, batches: BatchServer, **given: Any) -> BatchInferenceOperator:
    """The scoring of a table of prompts."""
    path = folder / "store" / "day.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {"id": list(range(ROWS)), "prompt": [f"say {number}" for number in range(ROWS)]}
    pq.write_table(pa.table(table), path)
    serving = {"jobs": {"poll_seconds": 0.02}, **given.pop("serving", {})}
    fields = {"deferrable": True, "output_key": "scores/day", "serving": serving, **given}
    return BatchInferenceOperator(
        task_id="score", model=batches.address, data="day.parquet", key=["id"], **fields
    )


def deferred(call: Callable[[], Any]) -> JobTrigger:
    """The trigger that a task hands out."""
    with pytest.raises(TaskDeferred) as parked:
        call()
    assert parked.value.method_name == "resume_jobs"
    assert not parked.value.kwargs
    found: JobTrigger = parked.value.trigger
    path, kwargs = found.serialize()
    assert path == "backbeat_provider.triggers.job.JobTrigger"
    return JobTrigger(**kwargs)


def fired(trigger: JobTrigger) -> Any:
    """The event of a trigger that runs until then."""

    async def first() -> Any:
        async for event in trigger.run():
            return event.payload
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(first())


def test_it_submits_defers_and_collects(
    folder: Path, context: Context, batches: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job; templates that are rendered to something else meanwhile change nothing."""
    monkeypatch.setenv("AIRFLOW_CONN_LLM", '{"conn_type": "http", "password": "s3cret-token"}')
    batches.secret = "s3cret-token"  # noqa: S105 - the test's own
    scoring = task(folder, batches, serving={"credentials": "llm"})
    trigger = deferred(lambda: scoring.execute(context(scoring)))
    assert "s3cret" not in repr(trigger.serialize())
    event = fired(trigger)
    assert batches.states == ["completed"]
    scoring.output_key = "scores/another-day"
    value = scoring.resume_jobs(context(scoring), event)
    assert (value["rows"], value["jobs"], value["output"]) == (ROWS, ["batch_2"], "scores/day")
    scores = read_scores(embedded(folder).store, "scores/day")
    assert scores["text"].to_pylist() == [f"SAY {number}" for number in range(ROWS)]


def test_it_waits_again_where_there_is_more(
    folder: Path, context: Context, batches: BatchServer
) -> None:
    """What an expired job has left is the next one's; each round holds a slot for a moment."""
    batches.expires_after = [5]
    scoring = task(folder, batches)
    event = fired(deferred(lambda: scoring.execute(context(scoring))))
    again = deferred(lambda: scoring.resume_jobs(context(scoring), event))
    assert again.waited_for == ["batch_2", "batch_6"]
    value = scoring.resume_jobs(context(scoring), fired(again))
    assert (value["rows"], len(batches.batches)) == (ROWS, 2)


def test_a_retry_finds_the_job_and_a_job_that_failed_is_told(
    folder: Path, context: Context, batches: BatchServer
) -> None:
    """A worker that was lost between submitting and deferring has not paid for nothing."""
    scoring = task(folder, batches)
    deferred(lambda: scoring.execute(context(scoring)))
    trigger = deferred(lambda: scoring.execute(context(scoring, try_number=2)))
    assert len(batches.batches) == 1
    batches.invalid = ["model_not_found"]
    batches.batches["batch_2"]["status"] = "validating"
    event = fired(trigger)
    with pytest.raises(AirflowFailException, match="model_not_found"):
        scoring.resume_jobs(context(scoring, try_number=2), event)


def test_a_model_that_answers_at_once_does_not_defer(folder: Path, context: Context) -> None:
    """The argument says nothing to it."""
    from backbeat.testing import model_server

    with model_server() as server:
        path = folder / "store" / "x.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": [1], "x": [2.0]}), path)
        scoring = BatchInferenceOperator(
            task_id="score",
            model=server.address,
            data="x.parquet",
            output_key="scores/x",
            key=["id"],
            deferrable=True,
        )
        assert scoring.execute(context(scoring))["rows"] == 1


_WORKER = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from conftest import make_context
os.environ["AIRFLOW_CONN_BACKBEAT_DEFAULT"] = {connection!r}
from test_long_jobs import task
from backbeat.testing import BatchServer
scoring = task(Path({folder!r}), BatchServer(port={port}), deferrable=False)
# as Airflow's task runner does
signal.signal(signal.SIGTERM, lambda _number, _frame: scoring.on_kill())
print("ready", flush=True)
scoring.execute(make_context(scoring))
"""


def test_a_task_process_that_is_told_to_end_cancels_its_job(
    folder: Path, batches: BatchServer
) -> None:
    """A real process that waits in the worker, and Airflow's SIGTERM."""
    batches.held = True
    here = Path(__file__).parent
    code = _WORKER.format(
        path=[str(here), str(here.parent)],
        folder=str(folder),
        port=batches.port,
        connection=os.environ["AIRFLOW_CONN_BACKBEAT_DEFAULT"],
    )
    worker = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
    try:
        end = time.monotonic() + 60
        while batches.looks.get("batch_2", 0) < 3:
            assert worker.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 1
    finally:
        worker.kill()
    assert batches.states == ["cancelling"]


def test_what_the_page_shows_parses() -> None:
    """The task of docs/long-jobs.md."""
    page = (Path(__file__).parents[3] / "docs" / "long-jobs.md").read_text()
    (shown,) = [each for each in page.split("```python\n")[1:] if "backbeat_provider" in each]
    names = {"ADDRESS": "openai-batch+https://host/v1/batches?model=small"}
    exec(compile(shown.partition("```")[0], "docs/long-jobs.md", "exec"), names)  # noqa: S102
    assert names["label"].deferrable is True  # type: ignore[attr-defined]
