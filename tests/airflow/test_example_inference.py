"""The examples with served models, played in real task processes against stand-ins over HTTP."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from backbeat import Platform, embedded
from backbeat.inference import read_scores
from flights import served, settings
from flights.stand_in import StandIn, late, stand_in

_FILE = Path(__file__).parent / "semantics" / "conftest.py"
_spec = importlib.util.spec_from_file_location("played_examples", _FILE)
assert _spec is not None
assert _spec.loader is not None
_runs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_runs)
# the same harness, on the example DAGs
_runs._DAGS = Path(__file__).parents[2] / "example_dags" / "airflow"
_runs._BUNDLE = "dags-folder"

dags = _runs.dags

NIGHT = datetime(2013, 5, 4, tzinfo=UTC)
KEY = "sk-stand-in"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def models() -> Iterator[StandIn]:
    """Both models, for real HTTP."""
    with stand_in(key=KEY) as running:
        yield running


@pytest.fixture
def platform(folder: Path, models: StandIn, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """What the DAGs run on, where the models are said to be."""
    monkeypatch.setenv("AIRFLOW_VAR_FLIGHTS_LATE", models.late_address)
    monkeypatch.setenv("AIRFLOW_VAR_FLIGHTS_REASON", models.reason_address)
    connection = f'{{"conn_type": "backbeat_model_endpoint", "password": "{KEY}"}}'
    monkeypatch.setenv("AIRFLOW_CONN_FLIGHTS_LLM", connection)
    return embedded(folder)


@pytest.fixture
def start(dags: dict[str, tuple[Any, Any]]) -> Callable[..., Any]:
    """Starts the run of a night, as the scheduler does."""

    def begin(dag_id: str, night: datetime = NIGHT) -> Any:
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        dag, scheduled = dags[dag_id]
        run_id = f"scheduled__{uuid4().hex}"
        with _runs._session() as session:
            scheduled.create_dagrun(
                run_id=run_id,
                logical_date=night,
                data_interval=(night, night + timedelta(days=1)),
                run_after=night,
                run_type=DagRunType.SCHEDULED,
                triggered_by=DagRunTriggeredByType.TIMETABLE,
                state=DagRunState.RUNNING,
                session=session,
            )
        return _runs.PlayedRun(dag, scheduled, run_id)

    return begin


def _kill_scoring(platform: Platform, models: StandIn, after: int) -> None:
    """Kill the process that scores once it has asked so many times."""
    end = time.monotonic() + 120
    while len(models.rows) < after:
        assert time.monotonic() < end, "nobody asked"
        time.sleep(0.005)
    (record,) = platform.ledger.runs(state="claimed")
    assert record.owner is not None
    os.kill(int(record.owner.rsplit("/", 2)[1]), signal.SIGKILL)


def test_a_killed_worker_costs_the_requests_under_way(
    start: Callable[..., Any], platform: Platform, models: StandIn
) -> None:
    """The retry asks what was not answered; each flight has its score once, in order."""
    import pyarrow.parquet as pq

    from flights.landing import land_night
    from flights.season import Night

    land_night(platform.store, Night(NIGHT.date(), "b", ""))
    tomorrow = NIGHT.date() + timedelta(days=1)
    models.seconds = 0.05
    run = start("score_on_triton")
    run.schedule()
    (first,) = run.instances("scheduled")
    killer = threading.Thread(target=_kill_scoring, args=(platform, models, 12))
    killer.start()
    run.execute(first)
    killer.join()
    assert run.states() == {"score": "up_for_retry"}
    before = len(models.rows)

    models.seconds = 0.0
    assert run.play() == {"score": "success"}
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
    output = run.output("score")
    assert output is not None
    assert int(output["repeated"]) <= in_flight


def test_a_cap_ends_clearly_and_the_rest_is_asked_when_it_is_raised(
    start: Callable[..., Any],
    platform: Platform,
    models: StandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No retry at the cap, nothing lost, and no remark is asked about twice."""
    from flights.remarks import land_remarks

    land_remarks(platform.store, NIGHT.date(), 40)
    monkeypatch.setenv("AIRFLOW_VAR_FLIGHTS_MAX_COST", "0.2")
    run = start("llm_batch_with_cap")
    assert run.play() == {"forecast": "success", "sort": "failed"}
    told = run.output("forecast")
    assert told is not None
    assert told["calls"] == 40
    assert told["cost"] > 0.2
    (record,) = platform.ledger.runs()
    assert "max_cost=0.2" in str(record.outcome)
    answered = len(models.prompts)
    assert 0 < answered < 40
    assert list(platform.store.keys("reasons/2013-05-04/manifest.json")) == []

    monkeypatch.setenv("AIRFLOW_VAR_FLIGHTS_MAX_COST", "2")
    run.clear("sort")
    assert run.play() == {"forecast": "success", "sort": "success"}
    assert len(models.prompts) == len(set(models.prompts)) == 40
    reasons = read_scores(platform.store, "reasons/2013-05-04")
    assert reasons["remark_id"].to_pylist() == [f"20130504-{n:03}" for n in range(40)]
    said = ["weather", "crew", "aircraft", "traffic", "other"]
    assert reasons["json"].to_pylist() == [f'{{"reason":"{said[n % 5]}"}}' for n in range(40)]


def test_work_that_cannot_fit_is_refused_before_the_first_call(
    start: Callable[..., Any],
    platform: Platform,
    models: StandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More remarks than calls."""
    from flights.remarks import land_remarks

    night = NIGHT + timedelta(days=1)
    land_remarks(platform.store, night.date(), 40)
    monkeypatch.setenv("AIRFLOW_VAR_FLIGHTS_MAX_CALLS", "39")
    run = start("llm_batch_with_cap", night)
    assert run.play()["sort"] == "failed"
    assert models.prompts == []
    (record,) = platform.ledger.runs()
    assert "40 calls are needed" in str(record.outcome)
