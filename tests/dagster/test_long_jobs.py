"""Submit, sensor, collect: one run submits a job and ends, another one collects its answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from dagster import RunsFilter
from pyarrow import parquet as pq

import dagster_backbeat as bb
from backbeat.inference import read_scores
from backbeat.testing import BatchServer, batch_server
from dagster_backbeat.jobs import JOBS_TAG, PARKED_KEY

DAY = "2013-03-10"
ROWS = 12
SAID = [f"SAY {number}" for number in range(ROWS)]


@pytest.fixture
def batches() -> Iterator[BatchServer]:
    """A real server of the Batch API."""
    with batch_server() as server:
        yield server


@pytest.fixture(params=["none", None], ids=["folder", "ledger"])
def resource(request: pytest.FixtureRequest, tmp_path: Path) -> bb.BackbeatResource:
    """A platform with a table of prompts: without a ledger, and with one."""
    path = tmp_path / "platform/store/prompts.parquet"
    path.parent.mkdir(parents=True)
    table = {"id": list(range(ROWS)), "prompt": [said.lower() for said in SAID]}
    pq.write_table(pa.table(table), path)
    folder = str(tmp_path / "platform")
    return bb.BackbeatResource(folder=folder, ledger=request.param, tracking_uri="none")


class Nightly:
    """A job whose first asset is scored by a remote job, and its sensor."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        resource: bb.BackbeatResource,
        address: str,
        days: dg.DailyPartitionsDefinition,
    ) -> None:
        self.instance, self.resource = instance, resource
        self.scores = bb.inference_asset(
            asset="scores",
            model=address,
            data="prompts.parquet",
            output_key="scores/{{ partition_key }}",
            key=["id"],
            serving={"jobs": {"poll_seconds": 0.02, "tries": 2}, "credentials": ""},
            deferrable=True,
            partitions_def=days,
        )

        @dg.asset(deps=["scores"], partitions_def=days)
        def letters() -> None:
            """What is made of the scores."""

        self.sensor = bb.job_sensor(assets=["scores"], job="nightly")
        self.defs = dg.Definitions(
            assets=[self.scores, letters],
            jobs=[dg.define_asset_job("nightly", executor_def=dg.in_process_executor)],
            sensors=[self.sensor],
            resources={"backbeat": resource},
        )
        self.cursor: str | None = None

    def run(self, request: dg.RunRequest | None = None, **given: Any) -> dg.ExecuteInProcessResult:
        """The job; or what the sensor asks for, as the daemon launches it."""
        tags = dict(given.pop("tags", {}))
        if request is not None:
            ours = {name: text for name, text in request.tags.items() if "backbeat/" in name}
            tags |= {**ours, "dagster/run_key": request.run_key}
            given["asset_selection"] = list(request.asset_selection)
        return self.defs.resolve_job_def("nightly").execute_in_process(
            instance=self.instance, partition_key=DAY, tags=tags, raise_on_error=False, **given
        )

    def look(self) -> list[dg.RunRequest]:
        """One look of the sensor, as the daemon does it."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=self.defs.get_repository_def(),
            resources={"backbeat": self.resource},
        )
        with context:
            found = self.sensor.evaluate_tick(context)
        self.cursor = found.cursor
        return list(found.run_requests)

    def looks(self, times: int = 5) -> list[dg.RunRequest]:
        """Looks until there is something to launch."""
        for _ in range(times):
            requests = self.look()
            if requests:
                return requests
        return []

    @property
    def text(self) -> list[str]:
        """What is in the output."""
        table = read_scores(self.resource.platform.store, f"scores/{DAY}")
        found: list[str] = table["text"].to_pylist()
        return found


@pytest.fixture
def nightly(
    instance: dg.DagsterInstance,
    resource: bb.BackbeatResource,
    batches: BatchServer,
    days: dg.DailyPartitionsDefinition,
) -> Nightly:
    """The job."""
    return Nightly(instance, resource, batches.address, days)


Keys = Callable[[dg.ExecuteInProcessResult], set[str]]


def test_one_run_submits_and_another_collects(
    nightly: Nightly, batches: BatchServer, materialized: Keys
) -> None:
    """The first ends and starts nothing downstream; no run waits; one job, and one continuation."""
    batches.held = True
    first = nightly.run()
    assert first.success
    assert materialized(first) == set()
    assert (nightly.look(), batches.states) == ([], ["in_progress"])
    batches.held = False
    (request,) = nightly.looks()
    assert request.run_key == f"{request.tags[JOBS_TAG]}:1"
    assert (request.partition_key, request.tags["backbeat/run"]) == (DAY, first.run_id)
    second = nightly.run(request)
    assert materialized(second) == {"scores", "letters"}
    (made,) = second.asset_materializations_for_node("scores")
    value = made.metadata["backbeat/value"].value
    assert (value["rows"], value["jobs"]) == (ROWS, list(batches.batches))
    assert nightly.text == SAID
    assert nightly.look() == []
    nightly.cursor = None
    assert nightly.look() == []
    assert len(batches.batches) == 1


def test_people_see_what_is_waited_for(
    nightly: Nightly, batches: BatchServer, instance: dg.DagsterInstance
) -> None:
    """An observation on the asset names the job; nothing in it is a secret."""
    nightly.run()
    (record,) = instance.fetch_observations(dg.AssetKey("scores"), limit=9).records
    assert record.asset_observation is not None
    assert record.asset_observation.description == "waits for batch_2"
    told = record.asset_observation.metadata[PARKED_KEY].value
    assert told["jobs"][0]["address"] == batches.address
    assert set(told) == {"request_id", "kind", "jobs", "waited_for", "identity"}


def test_where_more_is_to_be_submitted_it_waits_again(
    nightly: Nightly, batches: BatchServer, materialized: Keys
) -> None:
    """What an expired job has left is the next one's, under a wait of its own."""
    batches.expires_after = [5]
    nightly.run()
    (request,) = nightly.looks()
    second = nightly.run(request)
    assert materialized(second) == set()
    (again,) = nightly.looks()
    assert again.run_key != request.run_key
    assert materialized(nightly.run(again)) == {"scores", "letters"}
    assert [len(asked) for asked in batches.asked.values()] == [12, 7]
    assert nightly.text == SAID


def test_a_job_that_was_cancelled_is_told_and_a_new_run_asks_for_the_rest(
    nightly: Nightly, batches: BatchServer, materialized: Keys
) -> None:
    """The run that collects fails with a sentence, and is not launched again."""
    batches.held = True
    nightly.run()
    nightly.look()
    batches.batches["batch_2"]["status"] = "cancelling"
    (request,) = nightly.looks()
    failed = nightly.run(request)
    assert not failed.success
    assert "was cancelled" in str(failed.failure_data_for_node("scores"))
    batches.held = False
    assert nightly.looks() == []
    fresh = nightly.run()
    assert materialized(fresh) == set()
    (request,) = nightly.looks()
    nightly.run(request)
    assert [len(asked) for asked in batches.asked.values()] == [12, 6]
    assert nightly.text == SAID


def test_a_continuation_that_was_lost_is_launched_again(
    nightly: Nightly, batches: BatchServer, instance: dg.DagsterInstance
) -> None:
    """Its worker is gone before it did anything: another attempt number collects."""
    nightly.run()
    (request,) = nightly.looks()
    lost = instance.create_run_for_job(
        nightly.defs.resolve_job_def("nightly"),
        tags={**request.tags, "dagster/run_key": request.run_key, "dagster/partition": DAY},
    )
    instance.report_run_failed(lost, "the run's worker is gone")
    (second,) = nightly.look()
    assert second.run_key == f"{request.tags[JOBS_TAG]}:2"
    assert nightly.run(second).success
    assert nightly.look() == []
    assert len(instance.get_runs(RunsFilter(tags={JOBS_TAG: request.tags[JOBS_TAG]}))) == 2


def test_who_materializes_it_meanwhile_needs_no_continuation(
    nightly: Nightly, batches: BatchServer, materialized: Keys
) -> None:
    """A person's own run collects what is there: the wait is over, and nothing runs twice."""
    nightly.run()
    for _ in range(4):
        last = nightly.run()
    assert materialized(last) == {"scores", "letters"}
    assert nightly.looks() == []
    assert len(batches.batches) == 1


def test_a_server_that_is_away_is_looked_at_again(nightly: Nightly, batches: BatchServer) -> None:
    """The look says so in its log, and launches nothing."""
    nightly.run()
    batches.failing = [(503, {})] * 4
    assert nightly.look() == []
    batches.failing = []
    assert len(nightly.looks()) == 1


_WORKER = """
import sys
import dagster as dg
import dagster_backbeat as bb
scores = bb.inference_asset(
    asset="scores", model={address!r}, data="prompts.parquet", output_key="scores", key=["id"],
    serving={{"jobs": {{"poll_seconds": 0.05}}}},
)
backbeat = bb.BackbeatResource(folder={folder!r}, ledger="none", tracking_uri="none")
dg.materialize([scores], resources={{"backbeat": backbeat}}, instance=dg.DagsterInstance.get())
"""


def test_a_run_that_is_terminated_cancels_its_job(
    resource: bb.BackbeatResource, instance: dg.DagsterInstance, batches: BatchServer
) -> None:
    """By default the run waits itself; Dagster ends it by an interrupt."""
    batches.held = True
    code = _WORKER.format(address=batches.address, folder=resource.folder)
    worker = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        end = time.monotonic() + 90
        while batches.looks.get("batch_2", 0) < 3:
            assert worker.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        os.kill(worker.pid, signal.SIGINT)
        assert worker.wait(timedelta(seconds=30).total_seconds()) != 0
    finally:
        worker.kill()
    assert batches.states == ["cancelling"]


def test_what_the_page_shows_makes_definitions(tmp_path: Path) -> None:
    """The asset and the sensor of docs/long-jobs.md."""
    page = (Path(__file__).parents[2] / "docs" / "long-jobs.md").read_text()
    (shown,) = [each for each in page.split("```python\n")[1:] if "dagster_backbeat" in each]
    names: dict[str, Any] = {
        "ADDRESS": "openai-batch+https://host/v1/batches?model=small",
        "FOLDER": str(tmp_path),
    }
    exec(compile(shown.partition("```")[0], "docs/long-jobs.md", "exec"), names)  # noqa: S102
    assert names["defs"].resolve_sensor_def("jobs").job_name == "nightly"
