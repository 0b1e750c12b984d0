"""One remote job, whatever the worker was doing when it was killed: found, and not paid twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import job_killing
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from killing import Point

from backbeat import Done, run_step
from backbeat.inference import read_scores
from backbeat.kinds import step_from_json
from backbeat.testing import BatchServer, batch_server

ROWS = 12
_NOTES = "backbeat.inference.jobs.notes:Notes"
WINDOWS = {
    "before": Point("before", f"{_NOTES}.intend"),
    "inside-intended": Point("after", f"{_NOTES}.intend"),
    # the server has answered, and nobody reads it; the first text is the uploaded file's id
    "inside-started": Point("before", "backbeat.inference.jobs.openai_batch_lines:Lines.text", 2),
    "after": Point("before", f"{_NOTES}.record"),
    "noted": Point("after", f"{_NOTES}.record"),
    "waiting": Point("before", "backbeat.inference.jobs.waiting:seconds_to_wait", 2),
    "collecting": Point("before", "backbeat.inference.jobs.answers:Answers.add", 5),
    "collected": Point("before", "backbeat.inference.scoring:Scoring.record"),
    "recorded": Point("after", "backbeat.inference.scoring:Scoring.record"),
}


@pytest.fixture
def batches() -> Iterator[BatchServer]:
    """A real server of the Batch API, which lives on when a worker dies."""
    with batch_server() as server:
        yield server


@pytest.mark.parametrize("rung", [0, 1], ids=["folder", "ledger"])
@pytest.mark.parametrize("window", WINDOWS)
def test_one_job(
    window: str,
    rung: int,
    batches: BatchServer,
    die: Callable[..., None],
    tmp_path: Path,
) -> None:
    """The next attempt finds the job, and each row has one answer; a third asks nothing."""
    folder = tmp_path / "platform"
    (folder / "store").mkdir(parents=True)
    table = {"id": list(range(ROWS)), "prompt": [f"say {number}" for number in range(ROWS)]}
    pq.write_table(pa.table(table), folder / "store" / "day.parquet")
    step = {
        "kind": "inference.batch/v1",
        "model": batches.address,
        "data": "day.parquet",
        "output_key": "scores",
        "key": ["id"],
        "serving": {"jobs": {"poll_seconds": 0.01}},
    }
    die(job_killing.perform, str(folder), rung, step, WINDOWS[window])
    platform = job_killing.opened(str(folder), rung)
    done = run_step(step_from_json(step), job_killing.attempt(2), platform)
    assert isinstance(done, Done)
    assert len(batches.batches) == 1
    scores = read_scores(platform.store, "scores")
    assert scores["id"].to_pylist() == list(range(ROWS))
    assert scores["text"].to_pylist() == [f"SAY {number}" for number in range(ROWS)]
    asked = len(batches.paths)
    again = run_step(step_from_json(step), job_killing.attempt(3), platform)
    assert isinstance(again, Done)
    assert again.value["digest"] == done.value["digest"]
    assert len(batches.paths) == asked
