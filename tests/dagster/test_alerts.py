"""The sensor that tells people, on a real instance."""

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
from backbeat.alerts import Alert

PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"
MONITOR = "monitors/parcels"
FIRST = date(2024, 5, 1)
DAYS = dg.DailyPartitionsDefinition("2024-05-01")
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
    report="",
    partitions_def=DAYS,
)


class Nights:
    """A table's nights, and the people behind the sensor."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.backbeat = bb.BackbeatResource(folder=str(folder), ledger="none")
        self.heard: list[Alert] = []
        self.deaf = False
        self.cursor: str | None = None
        self.sensor = bb.alert_sensor(send=self.send)
        self.land(FIRST)
        dg.materialize([PROFILE], resources={"backbeat": self.backbeat}, instance=instance)

    def send(self, alert: Alert) -> None:
        """Hear it, or be away."""
        if self.deaf:
            raise ConnectionError("password=hunter2")
        self.heard.append(alert)

    def land(self, day: date, *, factor: float = 1.0) -> None:
        """A day's data."""
        path = self.folder / f"store/landing/{day}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(day.toordinal())
        pq.write_table(pa.table({"distance": random.uniform(1, 400, 3000) ** factor}), path)

    def check(self, number: int, *, factor: float = 0.75) -> None:
        """One night."""
        day = FIRST + timedelta(days=number)
        self.land(day, factor=factor)
        dg.materialize(
            [DRIFT],
            resources={"backbeat": self.backbeat},
            partition_key=str(day),
            instance=self.instance,
            raise_on_error=False,
        )

    def tick(self) -> None:
        """The sensor looks."""
        defs = dg.Definitions(
            assets=[PROFILE, DRIFT], sensors=[self.sensor], resources={"backbeat": self.backbeat}
        )
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=defs.get_repository_def(),
            resources={"backbeat": self.backbeat},
        ) as context:
            self.sensor.evaluate_tick(context)
            self.cursor = context.cursor


@pytest.fixture
def nights(tmp_path: Path, instance: dg.DagsterInstance) -> Nights:
    """A reference, and a sensor that has ticked once."""
    found = Nights(tmp_path / "platform", instance)
    found.tick()
    return found


def test_the_same_cause_is_told_once(nights: Nights) -> None:
    """Two nights of drift are one message; after a quiet one it is news again."""
    nights.check(1)
    nights.tick()
    nights.check(2)
    nights.tick()
    assert [alert.partition for alert in nights.heard] == ["2024-05-02"]
    assert nights.heard[0].columns == ("distance",)
    assert "distance" in nights.heard[0].title
    nights.check(3, factor=1.0)
    nights.check(4)
    nights.tick()
    assert [alert.partition for alert in nights.heard] == ["2024-05-02", "2024-05-05"]


def test_a_message_that_fails_is_tried_again(nights: Nights) -> None:
    """The cursor stays before it; nothing behind it is lost."""
    nights.deaf = True
    nights.check(1)
    nights.tick()
    nights.deaf = False
    nights.tick()
    nights.tick()
    assert [alert.partition for alert in nights.heard] == ["2024-05-02"]


def test_a_message_that_always_fails_blocks_no_other(nights: Nights) -> None:
    """After five ticks it is given up."""
    nights.deaf = True
    nights.check(1)
    for _ in range(5):
        nights.tick()
    nights.deaf = False
    nights.check(2, factor=1.0)
    nights.check(3)
    nights.tick()
    assert [alert.partition for alert in nights.heard] == ["2024-05-04"]


def test_what_was_found_before_the_sensor_is_no_news(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Switching it on does not tell the past."""
    nights = Nights(tmp_path / "platform", instance)
    nights.check(1)
    nights.tick()
    nights.tick()
    assert nights.heard == []


def test_the_pages_snippet_loads() -> None:
    """What docs/alerts.md shows for Dagster makes definitions."""
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (snippet,) = [text for text in snippets if "import dagster as dg" in text]
    names: dict[str, Any] = {}
    exec(compile(snippet, str(PAGE), "exec"), names)  # noqa: S102
    assert names["defs"].resolve_sensor_def("backbeat_alerts")
