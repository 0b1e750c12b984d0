"""A long job between two runs, with Dagster's own daemon, pages and crashes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from dagster import RunsFilter
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from deployment import LOCATION, Dagster
from pyarrow import parquet as pq

from backbeat import embedded
from backbeat.inference import read_scores
from backbeat.testing import BatchServer, batch_server

DAY = "2013-03-10"
SAID = [f"SAY {number}" for number in range(12)]
PARTS = Path(__file__).parent / "parts"


@pytest.fixture
def batches() -> Iterator[BatchServer]:
    """A real server of the Batch API."""
    with batch_server() as server:
        yield server


@pytest.fixture
def dagster(instance: dg.DagsterInstance, folder: Path, batches: BatchServer) -> Iterator[Dagster]:
    """The deployment, with a code location of its own."""
    (folder / "address").write_text(batches.address)
    (folder / "store").mkdir()
    table = {"id": list(range(len(SAID))), "prompt": [said.lower() for said in SAID]}
    pq.write_table(pa.table(table), folder / "store" / "prompts.parquet")
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(
            executable_path=sys.executable,
            python_file=str(PARTS / "long_job_location.py"),
            working_directory=str(PARTS),
        ),
        location_name=LOCATION,
    )
    sys.modules.pop("long_job_location", None)
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as context:
        yield Dagster(instance, context)


@pytest.fixture
def text(folder: Path) -> Callable[[], list[str]]:
    """Reads what is in the output."""

    def read() -> list[str]:
        store = embedded(folder, ledger=False, registry=False).store
        found: list[str] = read_scores(store, f"scores/{DAY}")["text"].to_pylist()
        return found

    return read


def look_until_launched(dagster: Dagster) -> list[str]:
    """Looks of the daemon, until it has launched something."""
    for _ in range(6):
        done = dagster.look()
        if done:
            return done
    return []


def keys(dagster: Dagster) -> list[str]:
    """The run keys of what has continued, oldest first."""
    runs = dagster.instance.get_runs(RunsFilter())
    found = [run.tags.get("dagster/run_key", "") for run in reversed(runs)]
    return [key.partition(":")[2] for key in found if key.startswith("jobs-")]


@pytest.mark.parametrize("job", ["nightly", "__ASSET_JOB"])
def test_the_daemon_launches_the_run_that_collects(
    dagster: Dagster, batches: BatchServer, text: Callable[[], list[str]], job: str
) -> None:
    """In a job, or where people have materialized assets; whatever it remembers, once."""
    assets = ["scores", "letters"] if job == "__ASSET_JOB" else []
    first = dagster.perform(job, DAY, assets=assets)
    assert dagster.succeeded(first)
    assert dagster.materialized(first) == {}
    (second,) = look_until_launched(dagster)
    assert set(dagster.materialized(second)) == {"scores", "letters"}
    dagster.forget_cursor()
    assert look_until_launched(dagster) == []
    assert (keys(dagster), len(batches.batches), text()) == (["1"], 1, SAID)


def test_a_run_that_dies_while_it_collects_is_launched_again(
    dagster: Dagster, batches: BatchServer, text: Callable[[], list[str]]
) -> None:
    """SIGKILL to its worker: the next attempt's key, the same job, each row once."""
    dagster.perform("nightly", DAY)
    workers = []
    while not workers:
        dagster.look_only()
        workers = dagster.start()
    os.kill(workers[0].pid, signal.SIGKILL)
    assert not workers[0].end()
    (again,) = look_until_launched(dagster)
    assert set(dagster.materialized(again)) == {"scores", "letters"}
    assert (keys(dagster), len(batches.batches), text()) == (["1", "2"], 1, SAID)


@pytest.mark.parametrize("strategy", ["ALL_STEPS", "FROM_FAILURE"])
def test_a_reexecution_after_a_cancelled_job_asks_for_the_rest(
    dagster: Dagster, batches: BatchServer, text: Callable[[], list[str]], strategy: str
) -> None:
    """The run that collects says that it was cancelled; a person's wish to go on goes on."""
    batches.held = True
    dagster.perform("nightly", DAY)
    dagster.look()
    batches.batches["batch_2"]["status"] = "cancelling"
    (failed,) = look_until_launched(dagster)
    assert "was cancelled" in dagster.why(failed)
    assert look_until_launched(dagster) == []
    batches.held = False
    again = dagster.again(failed, strategy)
    assert dagster.succeeded(again)
    assert dagster.materialized(again) == {}
    (last,) = look_until_launched(dagster)
    assert set(dagster.materialized(last)) == {"scores", "letters"}
    assert [len(asked) for asked in batches.asked.values()] == [12, 6]
    assert text() == SAID
