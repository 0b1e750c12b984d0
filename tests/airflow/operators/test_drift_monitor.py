"""A monitor behind the drift operators: rules, mutes and the page's own snippet."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from backbeat import Actor, embedded
from backbeat.drift import RetrainPolicy, Rules
from backbeat.drift.history import Monitor
from backbeat.errors import InvalidStep
from backbeat_provider.operators import (
    BuildProfileOperator,
    DriftBranchOperator,
    DriftCheckOperator,
    DriftGateOperator,
)

Context = Callable[..., dict[str, Any]]
PAGE = Path(__file__).parents[3] / "docs" / "drift.md"
MONITOR = "monitors/parcels"
FIELDS: dict[str, Any] = {
    "reference": f"{MONITOR}/reference.json",
    "monitor": MONITOR,
    "rules": Rules(effect_floor=0.2, min_history=5),
    "report": "",
}


def _land(folder: Path, day: int, *, factor: float = 1.0) -> str:
    name = f"landing/2024-05-{day:02}.parquet"
    path = folder / "store" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(day)
    pq.write_table(pa.table({"distance": random.uniform(1, 400, 900) ** factor}), path)
    return name


@pytest.fixture
def watched(folder: Path, context: Context) -> Path:
    """A folder with a monitor: its reference, made by the operator."""
    data = _land(folder, 1)
    task = BuildProfileOperator(
        task_id="profile", data=data, output_key=FIELDS["reference"], partition="2024-05-01"
    )
    task.execute(context(task))
    return folder


def test_a_gate_with_a_monitor_stops_on_drift(watched: Path, context: Context) -> None:
    """Days become history; the day that drifted closes the gate and is named."""
    for day in range(2, 9):
        quiet = DriftCheckOperator(
            task_id="drift", current=_land(watched, day), partition=f"2024-05-{day:02}", **FIELDS
        )
        value = quiet.execute(context(quiet, run_id=f"day-{day}"))
        assert value["verdict"] == "stable"
    assert (value["calibrated"], value["history_batches"], value["alarms"]) == (True, 6, [])
    gate = DriftGateOperator(
        task_id="gate", current=_land(watched, 9, factor=0.7), partition="2024-05-09", **FIELDS
    )
    with pytest.raises(AirflowFailException, match=r"drifted \(distance\)|broken \(distance\)"):
        gate.execute(context(gate, run_id="day-9"))


def test_a_muted_column_closes_no_gate(watched: Path, context: Context) -> None:
    """What a person has muted stops nothing."""
    monitor = Monitor(embedded(watched).store, MONITOR)
    monitor.mute("distance", until=date(2024, 5, 9), reason="fair", by=Actor(id="a", method="cli"))
    gate = DriftGateOperator(
        task_id="gate", current=_land(watched, 9, factor=0.7), partition="2024-05-09", **FIELDS
    )
    value = gate.execute(context(gate))

    assert (value["columns"], value["alarms"]) == (["distance"], [])


def test_a_branch_retrains_once_for_a_cause(watched: Path, context: Context) -> None:
    """The first drifting day leads to the training, the second one round it, a retry likewise."""

    def night(day: int, attempt: str = "") -> Any:
        with DAG("nightly", schedule=None):
            branch = DriftBranchOperator(
                task_id=f"branch-{day}{attempt}",
                current=_land(watched, day, factor=0.7),
                partition=f"2024-05-{day:02}",
                retrain=RetrainPolicy(cool_down_days=0),
                follow={"retrain": "train", "hold": "score"},
                **{**FIELDS, "rules": Rules(effect_floor=0.2)},
            )
        followed: list[Any] = []
        branch.do_branch = lambda _, tasks: followed.append(tasks)
        value = branch.execute(context(branch, run_id=f"day-{day}{attempt}"))
        return followed[0], value["because"]

    assert night(9) == ("train", "drift")
    assert night(10) == ("score", "same_cause")
    assert night(9, "-cleared") == ("train", "drift")


def test_a_branch_by_action_needs_a_policy() -> None:
    """Without one no action is ever decided: the slip shows when the file is parsed."""
    words: dict[str, Any] = {"task_id": "drift", "current": "a.parquet", "reference": "p.json"}
    with pytest.raises(InvalidStep, match="'retrain', which is no drift verdict"):
        DriftBranchOperator(**words, follow={"retrain": "train"})
    with pytest.raises(InvalidStep, match="needs a `monitor`"):
        DriftBranchOperator(**words, follow={"retrain": "train"}, retrain=RetrainPolicy())


def test_too_little_data_closes_a_gate(watched: Path, context: Context) -> None:
    """What nobody could have seen is no pass, unless the gate is told so."""
    path = watched / "store" / "landing/few.parquet"
    pq.write_table(pa.table({"distance": np.linspace(10.5, 390.5, 20)}), path)
    words: dict[str, Any] = {"current": "landing/few.parquet", "reference": FIELDS["reference"]}
    gate = DriftGateOperator(task_id="gate", **words)
    with pytest.raises(AirflowFailException, match="insufficient_data"):
        gate.execute(context(gate))
    lenient = DriftGateOperator(task_id="lenient", stop_on=["drifted", "broken"], **words)
    assert lenient.execute(context(lenient))["verdict"] == "insufficient_data"


@pytest.mark.parametrize("operator", [DriftCheckOperator, DriftGateOperator, DriftBranchOperator])
def test_a_slip_shows_when_the_file_is_parsed(operator: Any) -> None:
    """A monitor without a partition, thresholds in two places, a rule that does not exist."""
    words: dict[str, Any] = {"task_id": "drift", "current": "a.parquet", "reference": "p.json"}
    if operator is DriftBranchOperator:
        words["follow"] = {}
    for fields, says in (
        ({"monitor": "m"}, "partition"),
        ({"rules": Rules(), "q": 0.01}, "write q into"),
        ({"rules": {"effekt": 1}}, "effekt"),
    ):
        with pytest.raises(InvalidStep, match=says):
            operator(**words, **fields)
    templated = operator(**words, monitor="m", partition="{{ ds }}", rules={"q": 0.01})
    assert templated.step_fields()["rules"] == {"q": 0.01}


def test_a_mapped_check_gets_its_partition() -> None:
    """`.partial().expand()` works over days."""
    with DAG("mapped", schedule=None):
        mapped = DriftCheckOperator.partial(task_id="drift", **FIELDS).expand(
            current=["a.parquet"], partition=["2024-05-01"]
        )
    made = mapped.unmap({"current": "a.parquet", "partition": "2024-05-01"})
    assert made.step_fields()["monitor"] == MONITOR


@pytest.mark.usefixtures("airflow_database")
def test_the_pages_snippet_is_a_dag() -> None:
    """What docs/drift.md shows parses, with its decorator."""
    (snippet,) = [
        text
        for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if "airflow" in text
    ]
    names: dict[str, Any] = {}
    exec(compile(snippet.replace("\nparcels()", "\nmade = parcels()"), str(PAGE), "exec"), names)  # noqa: S102
    assert set(names["made"].task_ids) == {"drift", "land_returns"}
