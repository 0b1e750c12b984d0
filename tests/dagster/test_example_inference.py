"""The examples with served models, on a real instance against stand-ins over HTTP."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from backbeat import Platform, embedded
from backbeat.inference import read_scores
from flights import served, settings
from flights.stand_in import StandIn, late, stand_in

NIGHT = date(2013, 5, 4)
KEY = "sk-stand-in"
_RUN = """
import sys
import dagster as dg
from pipelines.definitions import defs

job = defs().get_repository_def().get_job(sys.argv[1])
with dg.DagsterInstance.get() as instance:
    job.execute_in_process(instance=instance, partition_key=sys.argv[2])
"""


@pytest.fixture
def models() -> Iterator[StandIn]:
    """Both models, over real HTTP."""
    with stand_in(key=KEY) as running:
        yield running


@pytest.fixture
def platform(tmp_path: Path, models: StandIn, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """What the pipelines run on, where the models are said to be."""
    monkeypatch.setenv("BACKBEAT_FOLDER", str(tmp_path / "platform"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite://")
    monkeypatch.setenv("FLIGHTS_LATE", models.late_address)
    monkeypatch.setenv("FLIGHTS_REASON", models.reason_address)
    monkeypatch.setenv("BACKBEAT_CREDENTIALS_FLIGHTS_LLM", f'{{"bearer": "{KEY}"}}')
    return embedded(tmp_path / "platform")


@pytest.fixture
def run(
    instance: dg.DagsterInstance, platform: Platform
) -> Callable[..., dg.ExecuteInProcessResult]:
    """Runs an example's job as the environment has it now."""

    def execute(name: str, day: date) -> dg.ExecuteInProcessResult:
        # a code location that was reloaded
        module = importlib.reload(importlib.import_module(f"pipelines.defs.{name}"))
        job = module.defs.resolve_job_def(name)
        found: dg.ExecuteInProcessResult = job.execute_in_process(
            instance=instance, partition_key=day.isoformat(), raise_on_error=False
        )
        return found

    return execute


def test_a_killed_worker_costs_the_requests_under_way(
    run: Callable[..., dg.ExecuteInProcessResult], platform: Platform, models: StandIn
) -> None:
    """The next run asks what was not answered; each flight has its score once, in order."""
    import pyarrow.parquet as pq

    from flights.landing import land_night
    from flights.season import Night

    land_night(platform.store, Night(NIGHT, "b", ""))
    tomorrow = NIGHT + timedelta(days=1)
    models.seconds = 0.05
    words = [sys.executable, "-c", _RUN, "score_on_triton", NIGHT.isoformat()]
    with subprocess.Popen(words) as worker:
        end = time.monotonic() + 120
        while len(models.rows) < 12:
            assert worker.poll() is None, "the worker ended before it was killed"
            assert time.monotonic() < end, "nobody asked"
            time.sleep(0.005)
        os.kill(worker.pid, signal.SIGKILL)
    before = len(models.rows)

    models.seconds = 0.0
    found = run("score_on_triton", NIGHT)
    assert found.success
    flights = pq.read_table(
        platform.store.address(settings.SCHEDULE.format(day=tomorrow)).removeprefix("file://")
    )
    scores = read_scores(platform.store, f"scores/late/{tomorrow}")
    assert scores[settings.KEY].to_pylist() == flights[settings.KEY].to_pylist()
    asked = list(zip(*(flights[name].to_pylist() for name in served.ASKED), strict=True))
    assert scores["score"].to_pylist() == [late([float(x) for x in row]) for row in asked]
    needed = -(-len(flights) // served.LATE_SERVING["request_rows"])
    in_flight = served.LATE_SERVING["resilience"]["in_flight"]
    assert 0 < len(models.rows) - before <= needed - (before - in_flight)
    assert needed <= len(models.rows) <= needed + in_flight
    (made,) = found.asset_materializations_for_node("late__scores")
    assert made.metadata["backbeat/value"].value["repeated"] <= in_flight


def test_a_cap_ends_clearly_and_the_rest_is_asked_when_it_is_raised(
    run: Callable[..., dg.ExecuteInProcessResult],
    platform: Platform,
    models: StandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No retry at the cap, nothing lost, and no remark is asked about twice."""
    from flights.remarks import land_remarks

    land_remarks(platform.store, NIGHT, 40)
    monkeypatch.setenv("FLIGHTS_MAX_COST", "0.2")
    first = run("llm_batch_with_cap", NIGHT)
    (told,) = first.asset_materializations_for_node("remarks__forecast")
    assert told.metadata["calls"].value == 40
    assert told.metadata["cost"].value > 0.2
    (failure,) = first.get_step_failure_events()
    assert "max_cost=0.2" in str(failure.step_failure_data.user_failure_data.description)
    assert not [event for event in first.all_events if event.is_step_up_for_retry]
    assert 0 < len(models.prompts) < 40
    assert list(platform.store.keys("reasons/2013-05-04/manifest.json")) == []

    monkeypatch.setenv("FLIGHTS_MAX_COST", "2")
    assert run("llm_batch_with_cap", NIGHT).success
    assert len(models.prompts) == len(set(models.prompts)) == 40
    reasons = read_scores(platform.store, "reasons/2013-05-04")
    assert reasons["remark_id"].to_pylist() == [f"20130504-{n:03}" for n in range(40)]
    said = ["weather", "crew", "aircraft", "traffic", "other"]
    assert reasons["json"].to_pylist() == [f'{{"reason":"{said[n % 5]}"}}' for n in range(40)]


def test_work_that_cannot_fit_is_refused_before_the_first_call(
    run: Callable[..., dg.ExecuteInProcessResult],
    platform: Platform,
    models: StandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More remarks than calls."""
    from flights.remarks import land_remarks

    land_remarks(platform.store, NIGHT, 40)
    monkeypatch.setenv("FLIGHTS_MAX_CALLS", "39")
    (failure,) = run("llm_batch_with_cap", NIGHT).get_step_failure_events()
    assert "40 calls are needed" in str(failure.step_failure_data.user_failure_data.description)
    assert models.prompts == []


def test_their_steps_wait_in_their_servers_pools(platform: Platform, models: StandIn) -> None:
    """As the definitions load, before anything is asked."""
    for name in ("score_on_triton", "llm_batch_with_cap"):
        module = importlib.reload(importlib.import_module(f"pipelines.defs.{name}"))
        job = module.defs.resolve_job_def(name)
        assert {node.definition.pool for node in job.nodes} - {None} == {
            f"backbeat/127_0_0_1_{models.port}"
        }
    assert (models.rows, models.prompts) == ([], [])
