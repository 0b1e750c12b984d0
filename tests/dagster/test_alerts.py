"""The sensor that tells people, on a real instance."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import asdict
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

import dagster_backbeat as bb
from backbeat.alerts import Alert
from backbeat.drift.history import Monitor
from backbeat.identity import Actor

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


def evaluation(batch: str) -> dg.AssetCheckEvaluation:
    """What a check without a monitor has found, as it is stored."""
    alert = Alert(
        title=batch,
        text=batch,
        kind="drift.check/v1",
        verdict="drifted",
        severity="high",
        columns=("distance",),
        cause="sha256:1",
        workflow="nightly",
        run="r",
        task="drift",
        partition=batch,
    )
    found = {"kind": alert.kind, "monitor": "", "partition": batch, "alert": asdict(alert)}
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("drift"),
        check_name="drift",
        passed=False,
        metadata={"backbeat/alert": dg.MetadataValue.json(found)},
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
        self.definitions = dg.Definitions(
            assets=[PROFILE, DRIFT],
            jobs=[dg.define_asset_job("nightly", [DRIFT.key])],
            sensors=[self.sensor],
            resources={"backbeat": self.backbeat},
        )
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
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=self.definitions.get_repository_def(),
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


def test_runs_that_are_queued_hide_nothing(nights: Nights) -> None:
    """A backfill plans a hundred checks at once; the first that ends is told all the same."""
    nights.check(1)
    job = nights.definitions.resolve_job_def("nightly")
    for number in range(2, 32):
        day = str(FIRST + timedelta(days=number))
        nights.instance.create_run_for_job(job_def=job, tags={"dagster/partition": day})
    nights.tick()
    assert [alert.partition for alert in nights.heard] == ["2024-05-02"]


def test_a_whole_backfill_between_two_ticks_is_told(nights: Nights) -> None:
    """More evaluations of one check than one look asks for, in the order in which they ended."""
    days = [f"day {number:02}" for number in range(60)]
    for day in days:
        nights.instance.report_runless_asset_event(evaluation(day))
    nights.tick()
    assert [alert.partition for alert in nights.heard] == days
    nights.tick()
    assert len(nights.heard) == len(days)


@pytest.mark.parametrize("ahead", [0, 60, 3600])
def test_what_another_clock_has_stored_late_is_told(nights: Nights, ahead: float) -> None:
    """Workers' clocks differ: one that is ahead hides nothing, and neither does the same moment."""
    nights.instance.report_runless_asset_event(evaluation("first"))
    storage = nights.instance.event_log_storage
    key = dg.AssetCheckKey(dg.AssetKey("drift"), "drift")
    (record,) = storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    nights.tick()
    storage.store_event(record.event._replace(timestamp=record.event.timestamp + ahead))
    nights.tick()
    nights.instance.report_runless_asset_event(evaluation("second"))
    for _ in range(2):
        nights.tick()
    assert [alert.partition for alert in nights.heard] == ["first", "first", "second"]


def test_a_look_that_takes_long_goes_on_at_the_next_tick(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster would give it up, and tell everything again."""
    monkeypatch.setattr("dagster_backbeat.alerts._LONGEST_SECONDS", -1.0)
    for day in ("first", "second"):
        nights.instance.report_runless_asset_event(evaluation(day))
    nights.tick()
    assert [alert.partition for alert in nights.heard] == ["first"]
    nights.tick()
    assert [alert.partition for alert in nights.heard] == ["first", "second"]


def test_a_muted_column_tells_nobody(nights: Nights) -> None:
    """And when the mute has ended, they hear of it."""
    store = nights.backbeat.platform.store
    ana = Actor(id="ana", method="python")
    Monitor(store, MONITOR).mute("distance", until=date(2024, 5, 3), reason="known", by=ana)
    for number in (1, 2, 3):
        nights.check(number)
    nights.tick()
    assert [alert.partition for alert in nights.heard] == ["2024-05-04"]


def test_a_suite_that_blocks_is_told_once_with_its_report(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Two expectations fail, and the run with them; people hear of the suite."""
    nights = Nights(tmp_path / "platform", instance)

    @dg.asset
    def landed() -> None:
        """The table."""

    between = "expect_column_values_to_be_between"
    quality = bb.quality_checks(
        on="landed",
        data=f"landing/{FIRST}.parquet",
        suite=[
            {"type": between, "kwargs": {"column": "distance", "max_value": limit}}
            for limit in (2, 3)
        ],
    )
    nights.definitions = dg.Definitions(
        assets=[landed],
        asset_checks=[quality],
        sensors=[nights.sensor],
        resources={"backbeat": nights.backbeat},
    )
    nights.tick()
    dg.materialize(
        [landed, quality],
        resources={"backbeat": nights.backbeat},
        instance=instance,
        raise_on_error=False,
    )
    nights.tick()
    (alert,) = nights.heard
    assert (alert.verdict, alert.severity) == ("failed", "critical")
    assert Path(alert.report.removeprefix("file://")).is_file()


def test_the_pages_sensor_calls_a_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/alerts.md shows for Dagster makes definitions, and its function tells a chat."""
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (snippet,) = [text for text in snippets if "import dagster as dg" in text]
    names: dict[str, Any] = {}
    exec(compile(snippet, str(PAGE), "exec"), names)  # noqa: S102
    assert names["defs"].resolve_sensor_def("backbeat_alerts")
    received: list[dict[str, str]] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Chat) as chat:
        thread = threading.Thread(target=chat.handle_request)
        thread.start()
        monkeypatch.setenv("CHAT_WEBHOOK", f"http://127.0.0.1:{chat.server_address[1]}/hook")
        given = evaluation("2024-05-02").metadata["backbeat/alert"].value["alert"]
        names["send"](Alert(**given))
        thread.join()
    assert received == [{"text": "2024-05-02\n2024-05-02"}]
