"""The trigger that waits for remote jobs: cancelled with its task, and not with its triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger

from backbeat import embedded
from backbeat.testing import BatchServer, batch_server
from backbeat_provider.triggers import job as trigger_module
from backbeat_provider.triggers.job import JobTrigger

HAS_ON_KILL = hasattr(BaseTrigger, "on_kill")


@pytest.fixture
def batches() -> Iterator[BatchServer]:
    """A real server of the Batch API whose one batch does not end by itself."""
    with batch_server() as server:
        server.held = True
        server.batches["b1"] = {
            "id": "b1",
            "status": "in_progress",
            "request_counts": {"total": 2, "completed": 1, "failed": 0},
        }
        yield server


def trigger_of(batches: BatchServer, *jobs: str) -> JobTrigger:
    """A trigger that waits for jobs."""
    return JobTrigger(
        jobs=[
            {"id": name, "address": batches.address, "credentials": "", "note": f"gone/{name}"}
            for name in jobs or ("b1",)
        ],
        step={"kind": "inference.batch/v1"},
        waited_for=["b0", "b1"],
        backbeat_conn_id="backbeat_default",
        poll_interval=0.02,
    )


async def events(trigger: JobTrigger) -> list[Any]:
    """All events of a trigger that runs to its end."""
    return [event.payload async for event in trigger.run()]


async def waiting(trigger: JobTrigger, batches: BatchServer) -> asyncio.Task[list[Any]]:
    """A trigger that has looked some times, and waits."""
    running = asyncio.create_task(events(trigger))
    while batches.looks.get("b1", 0) < 3:
        assert not running.done()
        await asyncio.sleep(0.01)
    return running


def test_it_fires_when_all_jobs_have_ended(folder: Path, batches: BatchServer) -> None:
    """Not before; one that the server has forgotten has ended too."""

    async def ends_meanwhile() -> list[Any]:
        running = await waiting(trigger_of(batches, "forgotten", "b1"), batches)
        batches.batches["b1"]["status"] = "completed"
        return await running

    told = {"step": {"kind": "inference.batch/v1"}, "waited_for": ["b0", "b1"]}
    assert asyncio.run(ends_meanwhile()) == [told]


def test_a_server_that_is_away_is_waited_for(folder: Path, batches: BatchServer) -> None:
    """An error that passes ends nothing."""

    async def ends_meanwhile() -> list[Any]:
        running = await waiting(trigger_of(batches), batches)
        batches.failing = [(503, {})] * 6
        while batches.failing:  # noqa: ASYNC110 - the server says nothing by itself
            await asyncio.sleep(0.01)
        assert not running.done()
        batches.batches["b1"]["status"] = "completed"
        return await running

    assert len(asyncio.run(ends_meanwhile())) == 1


def test_looking_in_vain_is_the_tasks_to_tell(folder: Path, batches: BatchServer) -> None:
    """Credentials that were withdrawn: the task goes on, and fails with a sentence."""
    batches.secret = "another"  # noqa: S105 - the test's own
    assert len(asyncio.run(events(trigger_of(batches)))) == 1


def test_a_kill_cancels_the_jobs_and_notes_it(folder: Path, batches: BatchServer) -> None:
    """So that the attempt after a clear asks for what is left, and takes it for no accident."""
    asyncio.run(trigger_of(batches).on_kill())
    assert batches.states == ["cancelling"]
    assert list(embedded(folder).store.keys("gone/")) == ["gone/b1"]


@pytest.mark.skipif(not HAS_ON_KILL, reason="Airflow calls on_kill from 3.3 on")
@pytest.mark.parametrize("killed", [True, False], ids=["cleared", "restarted"])
def test_airflow_tells_a_kill_from_a_restart(
    folder: Path, batches: BatchServer, killed: bool
) -> None:
    """In Airflow's own runner: only what a person does to the task cancels its jobs."""
    from airflow.jobs import triggerer_job_runner

    async def play() -> None:
        trigger = trigger_of(batches)
        runner = triggerer_job_runner.TriggerRunner()
        runner.triggers[1] = {
            "task": None,
            "is_watcher": False,
            "name": "t",
            "events": 0,
        }
        running = asyncio.create_task(runner.run_trigger(1, trigger))
        while batches.looks.get("b1", 0) < 3:
            assert not running.done(), running
            await asyncio.sleep(0.01)
        message = triggerer_job_runner._USER_ACTION_CANCEL_MSG
        running.cancel(message if killed else "EOF - shutting down")
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(play())
    assert batches.states == ["cancelling" if killed else "in_progress"]


@pytest.mark.parametrize(
    ("state", "message", "cancelled"),
    [
        ("queued", "", True),
        ("failed", "", True),
        ("deferred", "", False),
        ("queued", "EOF - shutting down", False),
        (None, "", False),
    ],
    ids=["cleared", "marked", "supervisor-closed", "shut-down", "unknown"],
)
def test_before_3_3_the_tasks_state_tells_them_apart(
    folder: Path,
    batches: BatchServer,
    monkeypatch: pytest.MonkeyPatch,
    state: str | None,
    message: str,
    cancelled: bool,
) -> None:
    """There is no on_kill there: a cancelled trigger asks whether its task still waits."""

    async def told(_ti: Any) -> str:
        if state is None:
            raise ConnectionError
        return state

    async def play() -> None:
        trigger = trigger_of(batches)
        trigger.task_instance = SimpleNamespace(task_id="score")
        running = await waiting(trigger, batches)
        running.cancel(*[message] if message else [])
        with pytest.raises(asyncio.CancelledError):
            await running

    monkeypatch.delattr(BaseTrigger, "on_kill", raising=False)
    monkeypatch.setattr(trigger_module, "_state_of", told)
    asyncio.run(play())
    assert batches.states == ["cancelling" if cancelled else "in_progress"]
