"""Alerts through Airflow's own notifiers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

try:
    from airflow.sdk import BaseNotifier
except ImportError:  # Airflow 3.1
    from airflow.sdk.bases.notifier import BaseNotifier

from backbeat_provider.operators import (
    BuildProfileOperator,
    DriftCheckOperator,
    DriftGateOperator,
    QualityCheckOperator,
)

Context = Callable[..., dict[str, Any]]
PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"
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


def _land(folder: Path, name: str, *, factor: float = 1.0, column: str = "distance") -> str:
    path = folder / "store" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(1).uniform(1, 400, 900) ** factor
    pq.write_table(pa.table({column: values}), path)
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
    folder: Path, context: Context, day: int, *notifiers: Any, operator: Any = DriftCheckOperator
) -> Any:
    """One night's check, in a DAG."""
    partition = f"2024-05-{day:02}"
    with DAG("nightly", schedule=None):
        task = operator(
            task_id="drift",
            current=_land(folder, f"landing/{partition}.parquet", factor=0.7),
            reference=f"{MONITOR}/reference.json",
            monitor=MONITOR,
            partition=partition,
            notify=notifiers,
        )
    given = context(task, run_id=partition)
    return task.execute({**given, "dag": task.dag})


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


def test_a_dag_with_notifiers_is_serialized() -> None:
    """The scheduler needs none of them; mapped tasks neither."""
    from airflow.serialization.serialized_objects import SerializedDAG

    with DAG("nightly", schedule=None) as dag:
        words: dict[str, Any] = {"reference": "p.json", "notify": [Notifier([], TEXT)]}
        DriftCheckOperator(task_id="one", current="a.parquet", **words)
        DriftCheckOperator.partial(task_id="many", **words).expand(current=["a.parquet"])
    if hasattr(SerializedDAG, "to_dict"):
        SerializedDAG.to_dict(dag)
    else:
        from airflow.serialization.serialized_objects import DagSerialization

        DagSerialization.to_dict(dag)


@pytest.mark.usefixtures("airflow_database")
def test_the_pages_snippet_is_a_dag() -> None:
    """What docs/alerts.md shows for Airflow parses."""
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (snippet,) = [text for text in snippets if "from airflow" in text]
    names: dict[str, Any] = {}
    exec(compile(snippet.replace("\nparcels()", "\nmade = parcels()"), str(PAGE), "exec"), names)  # noqa: S102
    assert set(names["made"].task_ids) == {"drift"}
