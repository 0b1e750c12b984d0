"""Severities, kept results and the page's own snippet behind the quality operator."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from backbeat.errors import InvalidStep
from backbeat_provider.operators import QualityCheckOperator

Context = Callable[..., dict[str, Any]]
PAGE = Path(__file__).parents[3] / "docs" / "quality.md"
DAY = "2024-05-04"


@pytest.fixture
def landed(folder: Path) -> Callable[..., None]:
    """Writes the day's table."""
    path = folder / "store" / "landing" / f"{DAY}.parquet"
    path.parent.mkdir(parents=True)

    def write(**columns: Any) -> None:
        pq.write_table(pa.table(columns), path)

    return write


def check(**fields: Any) -> QualityCheckOperator:
    """A check that distances are short, of the day."""
    expected = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "distance_km", "max_value": 5},
        "severity": fields.pop("severity", "critical"),
    }
    known = {
        "task_id": "quality",
        "data": "landing/{{ ds }}.parquet",
        "suite": [expected],
        "monitor": "monitors/parcels",
        "partition": "{{ ds }}",
    }
    return QualityCheckOperator(**{**known, **fields})


def perform(task: QualityCheckOperator, context: Context, **given: Any) -> Any:
    """Render and execute."""
    task.render_template_fields({"ds": DAY})
    return task.execute(context(task, **given))


def kept(folder: Path) -> dict[str, Any]:
    """What stands beside the profile."""
    path = folder / "store" / "monitors" / "parcels" / "quality" / f"{DAY}.json"
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def test_a_failing_task_leaves_its_result_and_a_clear_replaces_it(
    folder: Path, context: Context, landed: Callable[..., None]
) -> None:
    """The history knows of the bad day, and that it was repaired."""
    landed(distance_km=[1.0, 9.0])
    with pytest.raises(AirflowFailException, match="is blocked"):
        perform(check(), context)
    assert (kept(folder)["partition"], kept(folder)["result"]["success"]) == (DAY, False)
    landed(distance_km=[1.0, 2.0])
    value = perform(check(), context, try_number=2, max_tries=1)
    assert value["batch"] == f"monitors/parcels/quality/{DAY}.json"
    assert kept(folder)["result"]["success"] is True


def test_a_warning_fails_no_task(
    folder: Path, context: Context, landed: Callable[..., None]
) -> None:
    """It is a value to branch on, and kept."""
    landed(distance_km=[1.0, 9.0])
    value = perform(check(severity="warning"), context)
    assert value["success"] is False
    assert value["failed"] == ["expect_column_values_to_be_between(distance_km)"]
    assert kept(folder)["result"]["results"][0]["unexpected_percent"] == 50.0


def test_a_monitor_without_a_batchs_name_shows_when_the_file_is_parsed() -> None:
    """Before any data is looked at."""
    with pytest.raises(InvalidStep, match="`monitor` needs `partition`"):
        check(data="landing/a.parquet", partition="")


@pytest.mark.usefixtures("airflow_database")
def test_the_pages_snippet_is_a_dag_that_runs(
    folder: Path, context: Context, landed: Callable[..., None]
) -> None:
    """What docs/quality.md shows parses, and its check reports a day with one far parcel."""
    (snippet,) = [
        text
        for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if "airflow" in text
    ]
    names: dict[str, Any] = {}
    exec(compile(snippet.replace("\nparcels()", "\nmade = parcels()"), str(PAGE), "exec"), names)  # noqa: S102
    task = names["made"].get_task("quality")
    assert task.downstream_task_ids == {"train"}
    landed(depot=["north", "south"], distance_km=[10.0, 900.0])
    value = perform(task, context)
    assert value["failed"] == ["expect_column_values_to_be_between(distance_km)"]
    assert kept(folder)["suite"] == "unnamed"
