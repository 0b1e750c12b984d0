"""Alerts through Airflow's own notifiers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    BaseNotifier,
    DownstreamTasksSkipped,
)
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from backbeat.data import FolderStore
from backbeat.drift.history import Monitor
from backbeat.identity import Actor
from backbeat_provider.operators import (
    BuildProfileOperator,
    DriftBranchOperator,
    DriftCheckOperator,
    DriftGateOperator,
    QualityCheckOperator,
)

Context = Callable[..., dict[str, Any]]
MONITOR = "monitors/parcels"


class Notifier(BaseNotifier):  # type: ignore[misc]
    """As the Slack provider's: its text is a template."""

    template_fields = ("text",)

    def __init__(self, heard: list[str], text: str, *, deaf: bool = False) -> None:
        super().__init__()
        self.heard, self.text, self.deaf = heard, text, deaf

    def notify(self, context: Any) -> None:
        """Hear it."""
        if self.deaf:
            raise ConnectionError("token=hunter2 is not accepted")
        self.heard.append(self.text)


def _land(folder: Path, name: str, **factors: float) -> str:
    path = folder / "store" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    columns = {
        column: random.uniform(1, 400, 900) ** factors.get(column, 1.0)
        for column in ("distance", "weight")
    }
    pq.write_table(pa.table(columns), path)
    return name


@pytest.fixture
def heard() -> list[str]:
    """What people were told."""
    return []


@pytest.fixture
def watched(folder: Path, context: Context) -> Path:
    """A folder with a monitor."""
    data = _land(folder, "landing/2024-05-01.parquet")
    task = BuildProfileOperator(
        task_id="p", data=data, output_key=f"{MONITOR}/reference.json", partition="2024-05-01"
    )
    task.execute(context(task))
    return folder


def check(
    folder: Path,
    context: Context,
    day: int,
    *notifiers: Any,
    operator: Any = DriftCheckOperator,
    moved: tuple[str, ...] = ("distance",),
    **given: Any,
) -> Any:
    """One night's check, in a DAG."""
    partition = f"2024-05-{day:02}"
    data = _land(folder, f"landing/{partition}.parquet", **dict.fromkeys(moved, 0.7))
    with DAG("nightly", schedule=None) as dag:
        task = operator(
            task_id="drift",
            current=data,
            reference=f"{MONITOR}/reference.json",
            monitor=MONITOR,
            partition=partition,
            notify=notifiers,
            **given,
        )
        task >> EmptyOperator(task_id="train")
    return task.execute({**context(task, run_id=partition), "dag": dag})


TEXT = "{{ alert.severity }}: {{ alert.title }}"


def test_a_notifiers_template_sees_the_alert_once_for_a_cause(
    watched: Path, context: Context, heard: list[str]
) -> None:
    """Two nights of one cause are one message, rendered from the alert."""
    notifier = Notifier(heard, TEXT)
    check(watched, context, 2, notifier)
    check(watched, context, 3, notifier)
    assert len(heard) == 1
    assert re.fullmatch(r"(low|medium|high): .*dag\.drift, 2024-05-02: distance", heard[0])
    assert notifier.text == TEXT


def test_a_notifier_that_raises_fails_nothing(
    watched: Path, context: Context, heard: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The check goes on, no secret is logged, others hear it, and the next night tells."""
    deaf = Notifier(heard, TEXT, deaf=True)
    assert check(watched, context, 2, deaf)["verdict"] in {"drifted", "broken"}
    assert "Notifier did not tell anybody" in caplog.text
    assert "hunter2" not in caplog.text.partition("did not tell")[2]
    check(watched, context, 3, deaf, Notifier(heard, TEXT))
    assert len(heard) == 1


def test_other_columns_are_another_message(
    watched: Path, context: Context, heard: list[str]
) -> None:
    """Also while the first one still drifts."""
    notifier = Notifier(heard, "{{ alert.columns | sort | join(' and ') }}")
    check(watched, context, 2, notifier)
    check(watched, context, 3, notifier, moved=("distance", "weight"))
    assert heard == ["distance", "distance and weight"]


def test_a_muted_column_tells_nobody(watched: Path, context: Context, heard: list[str]) -> None:
    """Until its mute has ended."""
    monitor = Monitor(FolderStore(watched / "store"), MONITOR)
    ana = Actor(id="ana", method="python")
    monitor.mute("distance", until=date(2024, 5, 3), reason="a new depot", by=ana)
    for day in (2, 3):
        check(watched, context, day, Notifier(heard, TEXT))
    assert heard == []
    check(watched, context, 4, Notifier(heard, TEXT))
    assert len(heard) == 1


def test_a_retry_tells_whom_the_first_try_could_not(
    watched: Path, context: Context, heard: list[str]
) -> None:
    """The outcome is replayed from the ledger, and with it the message."""
    check(watched, context, 2, Notifier(heard, TEXT, deaf=True))
    for _ in range(2):
        check(watched, context, 2, Notifier(heard, TEXT))
    assert len(heard) == 1


def test_a_store_that_fails_fails_no_check(
    watched: Path, context: Context, heard: list[str]
) -> None:
    """What was told cannot be noted, and the verdict stands."""
    (watched / "store" / MONITOR / "alerts").write_text("no folder")
    assert check(watched, context, 2, Notifier(heard, TEXT))["verdict"] in {"drifted", "broken"}


@pytest.mark.parametrize("follow", [{"drifted": "train", "broken": "train"}, {"stable": "train"}])
def test_a_branch_tells_before_it_follows(
    watched: Path, context: Context, heard: list[str], follow: dict[str, str]
) -> None:
    """Whichever way it goes, and although a branch ends by an exception."""
    words = {"operator": DriftBranchOperator, "follow": follow}
    with suppress(DownstreamTasksSkipped, AirflowFailException):
        check(watched, context, 2, Notifier(heard, TEXT), **words)
    assert len(heard) == 1


def test_notifiers_can_be_a_dags_default(watched: Path, context: Context, heard: list[str]) -> None:
    """One list for all checks of a DAG."""
    _land(watched, "landing/2024-05-02.parquet", distance=0.7)
    with DAG("nightly", default_args={"notify": [Notifier(heard, TEXT)]}, schedule=None) as dag:
        task = DriftCheckOperator(
            task_id="drift",
            current="landing/2024-05-02.parquet",
            reference=f"{MONITOR}/reference.json",
        )
    task.execute({**context(task), "dag": dag})
    assert len(heard) == 1


def test_a_gate_tells_before_it_stops(watched: Path, context: Context, heard: list[str]) -> None:
    """Whoever must act hears of it although the task fails."""
    with pytest.raises(AirflowFailException):
        check(watched, context, 2, Notifier(heard, TEXT), operator=DriftGateOperator)
    assert len(heard) == 1


def test_a_blocked_quality_check_tells(watched: Path, context: Context, heard: list[str]) -> None:
    """It fails the task, and says which expectation."""
    with DAG("nightly", schedule=None):
        task = QualityCheckOperator(
            task_id="quality",
            data="landing/2024-05-01.parquet",
            suite={
                "name": "s",
                "expectations": [
                    {
                        "type": "expect_column_values_to_be_between",
                        "kwargs": {"column": "distance", "max_value": 2},
                    }
                ],
            },
            notify=[Notifier(heard, "{{ alert.text }}")],
        )
    with pytest.raises(AirflowFailException, match="is blocked"):
        task.execute({**context(task), "dag": task.dag})
    assert "Unexpected:" in heard[0]


def _serialized() -> dict[str, Any]:
    words: dict[str, Any] = {"reference": "p.json", "notify": [Notifier([], "hunter2")]}
    with DAG("nightly", schedule=None) as dag:
        DriftCheckOperator(task_id="one", current="a.parquet", **words)
        DriftCheckOperator.partial(task_id="many", **words).expand(current=["a.parquet"])
    return dict(_serializer().to_dict(dag))


def _serializer() -> Any:
    from airflow.serialization import serialized_objects

    if hasattr(serialized_objects.SerializedDAG, "to_dict"):
        return serialized_objects.SerializedDAG
    return serialized_objects.DagSerialization


def test_a_dag_with_notifiers_is_serialized() -> None:
    """The scheduler reads it back; what a notifier holds stays in the DAG's file."""
    found = _serialized()
    assert set(_serializer().from_dict(found).task_dict) == {"one", "many"}
    assert "hunter2" not in json.dumps(found, default=str)


def test_notifiers_make_no_new_dag_version() -> None:
    """The same file is the same DAG whenever it is parsed, mapped tasks and all."""
    assert json.dumps(_serialized(), default=str) == json.dumps(_serialized(), default=str)


DAG_FILE = """
from airflow.sdk import BaseNotifier, dag
from backbeat_provider.operators import DriftCheckOperator, DriftGateOperator


class Log(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, text):
        super().__init__()
        self.text = text

    def notify(self, context):
        with open("HEARD", "a") as file:
            print(self.text, file=file)


@dag(schedule=None)
def told():
    words = {
        "reference": "monitors/parcels/reference.json",
        "monitor": "monitors/parcels",
        "notify": [Log("{{ ti.map_index }} {{ alert.columns | join(' ') }} {{ ds }}")],
    }
    checks = DriftCheckOperator.partial(task_id="check", partition="{{ ds }}", **words).expand(
        current=["landing/usual.parquet", "landing/moved.parquet"]
    )
    words["monitor"] = ""
    checks >> DriftGateOperator(task_id="gate", current="landing/moved.parquet", **words)


told()
"""


@pytest.mark.usefixtures("airflow_database")
def test_airflow_itself_hands_the_alert_on(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a run of Airflow's a mapped task tells, and a gate that fails its task."""
    _land(watched, "landing/usual.parquet")
    _land(watched, "landing/moved.parquet", distance=0.7)
    file, heard = tmp_path / "told.py", tmp_path / "heard"
    file.write_text(DAG_FILE.replace("HEARD", str(heard)))
    # `dag.test()` looks a DAG's file up in its bundle
    bundle = {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(tmp_path)},
    }
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
    bag = dag_bag(file)
    assert not bag.import_errors
    run = bag.dags["told"].test(logical_date=datetime(2024, 5, 2, tzinfo=UTC))
    states = {(task.task_id, task.map_index): task.state for task in run.get_task_instances()}
    assert states == {("check", 0): "success", ("check", 1): "success", ("gate", -1): "failed"}
    assert heard.read_text().splitlines() == ["1 distance 2024-05-02", "-1 distance 2024-05-02"]


def dag_bag(path: Path) -> Any:
    """The DAGs of a file, parsed as Airflow parses them."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag
    return DagBag(str(path))
