"""Runs played task by task in real task processes, with Airflow's own clears and triggers."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from backbeat import Actor, Platform, embedded
from backbeat.signoff import read_request, vote

_DAGS = Path(__file__).parent / "dags"
_BUNDLE = "semantics"
_nights = itertools.count()


class PlayedRun:
    """One DAG run, played the way that scheduler, worker and triggerer play it together.

    Each task runs in a process of its own under Airflow's supervisor; the states, XComs and
    triggers are the database's.

    Args:
        dag: The DAG as its file defines it.
        scheduled: The DAG as the scheduler reads it from the database.
        run_id: The run.
    """

    def __init__(self, dag: Any, scheduled: Any, run_id: str) -> None:
        self.dag = dag
        self.scheduled = scheduled
        self.run_id = run_id

    def play(self) -> dict[str, str]:
        """Run what can run, until the rest waits for people or nothing is left."""
        end = time.monotonic() + 120
        while self.schedule():
            for ti in self.instances("scheduled"):
                self.execute(ti)
            assert time.monotonic() < end, f"the run does not come to rest: {self.states()}"
        return self.states()

    def schedule(self) -> bool:
        """One look of the scheduler; whether a task is due now or after a retry's delay."""
        with _session() as session:
            run = self._run(session)
            if run.state == "queued":
                run.state = "running"
            run.dag = self.scheduled
            schedulable, _ = run.update_state(session=session, execute_callbacks=False)
            run.schedule_tis(schedulable, session=session)
        return bool(self.instances("scheduled") or self.instances("up_for_retry"))

    def execute(self, ti: Any) -> None:
        """One attempt in a task process, under a supervisor that reports how it ended."""
        from airflow.executors import workloads

        with _session() as session:
            ti = session.merge(ti)
            ti.state = "queued"
            session.flush()
            workload = workloads.ExecuteTask.make(
                ti,
                dag_rel_path=Path(self.dag.fileloc).relative_to(_DAGS),
                bundle_info=workloads.BundleInfo(name=_BUNDLE),
            )
        _supervise()(
            ti=workload.ti,
            bundle_info=workload.bundle_info,
            dag_rel_path=workload.dag_rel_path,
            token="",
            client=_api_client(),
        )
        if any(left.id == ti.id for left in self.instances("running")):
            self.report_lost(ti)

    def api_client(self) -> Any:
        """A client of the real Execution API, in this process."""
        return _api_client()

    def report_lost(self, ti: Any) -> None:
        """What the scheduler does once it knows that a task's process or host is gone."""
        with _session() as session:
            ti = session.get(type(ti), ti.id)
            ti.task = self.scheduled.get_task(ti.task_id)
            ti.handle_failure(error="its process is gone", session=session)

    def fire_triggers(self, *indexes: int) -> None:
        """What the triggerer does: the triggers of deferred tasks run until their events.

        Args:
            indexes: Of mapped tasks only these copies.
        """
        from airflow.models.trigger import Trigger

        for ti in self.instances("deferred"):
            if indexes and ti.map_index not in indexes:
                continue
            with _session() as session:
                trigger = session.get(Trigger, ti.trigger_id)
                loaded = _load(trigger.classpath)(**{**trigger.kwargs, "poll_interval": 0.05})
            event = asyncio.run(_first_event(loaded))
            with _session() as session:
                Trigger.submit_event(ti.trigger_id, event, session=session)

    def clear(self, *tasks: str | tuple[str, int]) -> None:
        """What the Clear button does with these tasks."""
        with _session() as session:
            self.scheduled.clear(task_ids=list(tasks), run_id=self.run_id, session=session)

    def mark_success(self, task_id: str) -> None:
        """What the Mark success button does with a task."""
        from airflow.api.common.mark_tasks import set_state

        with _session() as session:
            set_state(
                tasks=[self.scheduled.get_task(task_id)],
                run_id=self.run_id,
                state="success",
                commit=True,
                session=session,
            )

    def instances(self, state: str | None = None) -> list[Any]:
        """The run's task instances, by task and map index."""
        with _session() as session:
            found = self._run(session).get_task_instances(session=session)
            session.expunge_all()
        found = sorted(found, key=lambda ti: (ti.task_id, ti.map_index))
        return [ti for ti in found if state is None or str(ti.state) == state]

    def states(self) -> dict[str, str]:
        """`task` or `task[index]` to state."""
        return {
            ti.task_id + (f"[{ti.map_index}]" if ti.map_index >= 0 else ""): str(ti.state)
            for ti in self.instances()
        }

    def output(self, task_id: str, map_index: int = -1) -> dict[str, Any] | None:
        """The task's XCom, as a downstream task would pull it; None where there is none."""
        from airflow.models.xcom import XComModel

        with _session() as session:
            query = XComModel.get_many(
                run_id=self.run_id,
                key="return_value",
                task_ids=task_id,
                dag_ids=self.dag.dag_id,
                map_indexes=map_index,
            )
            row = session.scalars(query).first()
            return None if row is None else XComModel.deserialize_value(row)

    def asset_events(self, task_id: str) -> list[dict[str, Any]]:
        """What the task has announced, oldest first."""
        from airflow.models.asset import AssetEvent

        with _session() as session:
            events = session.query(AssetEvent).filter_by(
                source_dag_id=self.dag.dag_id,
                source_run_id=self.run_id,
                source_task_id=task_id,
            )
            return [event.extra for event in events.order_by(AssetEvent.id)]

    def _run(self, session: Any) -> Any:
        from airflow.models.dagrun import DagRun

        return session.query(DagRun).filter_by(dag_id=self.dag.dag_id, run_id=self.run_id).one()


@pytest.fixture(scope="session")
def dags(airflow_database: None) -> dict[str, tuple[Any, Any]]:
    """Every DAG of `dags/`: as its file defines it, and as the scheduler reads it back."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.models.serialized_dag import SerializedDagModel

    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag, sync_bag_to_db
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(_DAGS, bundle_path=_DAGS)
    assert bag.import_errors == {}
    sync_bag_to_db(bag, _BUNDLE, None)
    with _session() as session:
        return {
            name: (dag, session.scalar(SerializedDagModel.latest_item_select_object(name)).dag)
            for name, dag in bag.dags.items()
        }


@pytest.fixture
def start(dags: dict[str, tuple[Any, Any]]) -> Callable[..., PlayedRun]:
    """Starts a run as a person does, with a configuration."""

    def begin(dag_id: str, **conf: Any) -> PlayedRun:
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        dag, scheduled = dags[dag_id]
        run_id = f"manual__{uuid4().hex}"
        with _session() as session:
            scheduled.create_dagrun(
                run_id=run_id,
                run_after=datetime.now(UTC),
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.UI,
                triggering_user_name="ada",
                state=DagRunState.RUNNING,
                conf=conf,
                session=session,
            )
        return PlayedRun(dag, scheduled, run_id)

    return begin


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A platform's folder whose registry all tests share; each has a ledger of its own."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def platform(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """What `backbeat_default` points at; its ledger is `ledger.db` in the test's own folder."""
    extra = {"folder": str(models), "ledger": str(tmp_path / "ledger.db")}
    value = json.dumps({"conn_type": "backbeat", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_BACKBEAT_DEFAULT", value)
    return embedded(models, ledger=tmp_path / "ledger.db")


@pytest.fixture
def backfill(dags: dict[str, tuple[Any, Any]]) -> Callable[..., PlayedRun]:
    """Starts a backfill of one night, as Airflow's own form does."""

    def begin(dag_id: str, **conf: Any) -> PlayedRun:
        from airflow.models.backfill import Backfill, BackfillDagRun, _create_backfill
        from airflow.models.dagrun import DagRun

        night = datetime(2013, 5, 1, tzinfo=UTC) + timedelta(days=next(_nights))
        made = _create_backfill(
            dag_id=dag_id,
            from_date=night,
            to_date=night,
            max_active_runs=1,
            reverse=False,
            dag_run_conf=conf,
            triggering_user_name="ada",
        )
        with _session() as session:
            (run_id,) = session.scalars(
                select(DagRun.run_id)
                .join(BackfillDagRun)
                .where(BackfillDagRun.backfill_id == made.id)
            )
            # only one a DAG may be under way
            session.get(Backfill, made.id).completed_at = datetime.now(UTC)
        return PlayedRun(*dags[dag_id], run_id)

    return begin


@pytest.fixture
def approve(platform: Platform) -> Callable[[str], None]:
    """Grace approves a request, having seen what it shows."""

    def cast(request_id: str) -> None:
        seen = read_request(platform.ledger, request_id).request.evidence_digest
        vote(
            platform.ledger,
            request_id,
            choice="approve",
            actor=Actor(id="grace", method="python"),
            evidence_digest=seen,
        )

    return cast


@pytest.fixture
def mlflow_client(models: Path, platform: Platform) -> Any:
    """MLflow's own view of the registry that all tests share."""
    from mlflow import MlflowClient

    platform.registry.ping()
    uri = f"sqlite:///{models / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def model(mlflow_client: Any, models: Path, platform: Platform) -> str:
    """A registered model of three versions, of which 1 is the champion."""
    name = f"m{uuid4().hex}"
    mlflow_client.create_registered_model(name)
    for _ in range(3):
        mlflow_client.create_model_version(name, source=models.as_uri())
    platform.registry.set_alias(name, "champion", "1")
    return name


_TRAINING = """
import time
from pathlib import Path

from sklearn.linear_model import LinearRegression


def fit(data, params):
    note("began")
    gate = Path({gate!r})
    while gate.exists():
        time.sleep(0.01)
    rows = data["rows"].to_table().to_pandas()
    model = LinearRegression().fit(rows[["x"]], {slope} * rows["x"])
    note("ended")
    return model


def note(what):
    with Path({calls!r}).open("a") as calls:
        calls.write(what + " ")
"""


@pytest.fixture
def training(
    platform: Platform, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Writes the training code that task processes import; returns the file of its calls.

    While there is a file `gate` beside it, the training does not end.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    rows = models / "store" / "rows.parquet"
    rows.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": [1.0, 2.0, 3.0]}), rows)

    def write(*, slope: float) -> Path:
        calls = tmp_path / "calls"
        text = _TRAINING.format(calls=str(calls), gate=str(tmp_path / "gate"), slope=slope)
        (folder / "night_training.py").write_text(text)
        return calls

    return write


@contextmanager
def _session() -> Iterator[Any]:
    from airflow.utils.session import create_session

    with create_session() as session:
        session.expire_on_commit = False
        yield session


def _supervise() -> Callable[..., int]:
    from airflow.sdk.execution_time import supervisor

    # `supervise` is the name before Airflow 3.3, and deprecated since
    return getattr(supervisor, "supervise_task", None) or supervisor.supervise


def _api_client() -> Any:
    from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor

    return InProcessTestSupervisor._api_client()


def _load(path: str) -> Any:
    from importlib import import_module

    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


async def _first_event(trigger: Any) -> Any:
    async for event in trigger.run():
        return event
    raise AssertionError("the trigger ended without an event")
