"""A monitor behind `drift_check`, a day a partition."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

import dagster_backbeat as bb
from backbeat.drift import Rules

PAGE = Path(__file__).parents[2] / "docs" / "drift.md"
MONITOR = "monitors/parcels"
FIRST = date(2024, 5, 1)
DAYS = dg.DailyPartitionsDefinition("2024-05-01")


def _land(root: Path, day: date, *, factor: float = 1.0) -> None:
    path = root / f"store/landing/{day}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(day.toordinal())
    pq.write_table(pa.table({"distance": random.uniform(1, 400, 900) ** factor}), path)


@pytest.fixture
def backbeat(tmp_path: Path) -> bb.BackbeatResource:
    """A platform with a folder alone."""
    return bb.BackbeatResource(folder=str(tmp_path / "platform"), ledger="none")


PROFILE = bb.profile_asset(
    asset="reference",
    data="landing/2024-05-01.parquet",
    output_key=f"{MONITOR}/reference.json",
    partition="2024-05-01",
)
DRIFT = bb.drift_check(
    asset="drift",
    current="landing/{{ partition_key }}.parquet",
    reference=f"{MONITOR}/reference.json",
    monitor=MONITOR,
    partition="{{ partition_key }}",
    rules=Rules(effect_floor=0.2, min_history=5),
    report="",
    partitions_def=DAYS,
)


def _run(asset: Any, backbeat: bb.BackbeatResource, partition: str | None = None) -> Any:
    return dg.materialize(
        [asset],
        resources={"backbeat": backbeat},
        partition_key=partition,
        raise_on_error=False,
    )


def test_days_become_the_history_of_later_ones(backbeat: bb.BackbeatResource) -> None:
    """Partition by partition the check becomes calibrated, then warns on the day that drifted."""
    root = Path(backbeat.folder)
    days = [FIRST + timedelta(days=number) for number in range(8)]
    for day in days:
        _land(root, day, factor=0.75 if day == days[-1] else 1.0)
    assert _run(PROFILE, backbeat).success
    for day in days[1:]:
        found = _run(DRIFT, backbeat, str(day))
    (check,) = found.get_asset_check_evaluations()
    (made,) = found.asset_materializations_for_node("drift")
    value = made.metadata["backbeat/value"].value

    assert (value["calibrated"], value["history_batches"]) == (True, 6)
    assert value["alarms"] == ["distance"]
    assert not check.passed
    assert "distance" in check.description


def test_the_reference_is_no_batch(backbeat: bb.BackbeatResource) -> None:
    """The day that the reference was made of fails, without a retry."""
    _land(Path(backbeat.folder), FIRST)
    _run(PROFILE, backbeat)

    assert not _run(DRIFT, backbeat, str(FIRST)).success


def test_a_slip_shows_when_definitions_load() -> None:
    """Thresholds in two places, or a rule that does not exist."""
    words: dict[str, Any] = {"asset": "drift", "current": "a.parquet", "reference": "p.json"}
    for fields, says in (
        ({"rules": Rules(), "power": 0.9}, "write power into"),
        ({"rules": {"effekt": 1}}, "effekt"),
        ({"monitor": "m"}, "partition"),
    ):
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=says):
            bb.drift_check(**words, **fields)


def test_the_pages_snippet_loads() -> None:
    """What docs/drift.md shows is an asset."""
    (snippet,) = [
        text
        for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if "dagster" in text
    ]
    names: dict[str, Any] = {}
    exec(compile(snippet, str(PAGE), "exec"), names)  # noqa: S102
    assert names["drift"].keys == {dg.AssetKey(["parcels", "drift"])}
