"""A deployment of Dagster: what a person clicks in its pages, and what its daemons do.

Runs are launched as the pages launch them (GraphQL), retried, backfilled and continued by the
daemons' own functions, and executed in forked processes, which a test may kill.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
    consume_new_runs_for_automatic_reexecution,
)
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.sensor import execute_sensor_iteration
from dagster_graphql.test.utils import execute_dagster_graphql
from run_worker import Worker, wait_for

LOCATION = "semantics"

LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
REEXECUTE = """mutation($p: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
REPORT = """mutation($p: ReportRunlessAssetEventsParams!) {
  reportRunlessAssetEvents(eventParams: $p) {
  __typename ... on PythonError { message } } }"""


class Dagster:
    """What a person clicks and what the daemons do."""

    def __init__(self, instance: dg.DagsterInstance, context: WorkspaceProcessContext) -> None:
        self.instance = instance
        self._context = context
        self._log = logging.getLogger("daemon")

    def launch(
        self,
        job: str,
        partition: str | None = None,
        *,
        assets: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Click "Materialize"; returns the run's id."""
        tags = dict(tags or {})
        if partition:
            tags["dagster/partition"] = partition
        selector: dict[str, Any] = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "jobName": job,
        }
        if assets:
            selector["assetSelection"] = [{"path": [name]} for name in assets]
        found = self._ask(
            LAUNCH,
            {
                "selector": selector,
                "runConfigData": "{}",
                "mode": "default",
                "executionMetadata": {
                    "tags": [{"key": key, "value": value} for key, value in tags.items()]
                },
            },
        )
        return str(found["run"]["runId"])

    def reexecute(self, run_id: str, strategy: str) -> str:
        """Click "Re-execute": ALL_STEPS, FROM_FAILURE or FROM_ASSET_FAILURE."""
        found = self._ask(REEXECUTE, {"parentRunId": run_id, "strategy": strategy})
        return str(found["run"]["runId"])

    def backfill(
        self, partitions: Sequence[str], *, asset: str | None = None, job: str | None = None
    ) -> list[dg.DagsterRun]:
        """Launch a backfill of an asset or a job and perform it; returns its runs."""
        params: dict[str, Any] = {"partitionNames": list(partitions)}
        if asset:
            params["assetSelection"] = [{"path": [asset]}]
        else:
            params["selector"] = {
                "partitionSetName": f"{job}_partition_set",
                "repositorySelector": {
                    "repositoryLocationName": LOCATION,
                    "repositoryName": "__repository__",
                },
            }
        backfill_id = self._ask(BACKFILL, params)["backfillId"]
        wanted = RunsFilter(tags={"dagster/backfill": backfill_id})

        def ended() -> bool:
            list(execute_backfill_iteration(self._context, self._log))
            self.work()
            found = self.instance.get_backfill(backfill_id)
            return found is not None and found.status.value.startswith("COMPLETED")

        wait_for(ended, "the backfill has ended")
        return list(self.instance.get_runs(filters=wanted))

    def report(self, asset: str, partition: str) -> None:
        """Click "Report materialization"."""
        self._ask(
            REPORT,
            {
                "eventType": "ASSET_MATERIALIZATION",
                "assetKey": {"path": [asset]},
                "partitionKeys": [partition],
            },
        )

    def retry_failed(self) -> None:
        """One look of the daemon that retries failed runs."""
        failed = RunsFilter(statuses=[DagsterRunStatus.FAILURE])
        records = self.instance.get_run_records(filters=failed)
        list(consume_new_runs_for_automatic_reexecution(self._context, records, self._log))

    def look(self) -> list[str]:
        """One look of the sensors, and the work that they ask for; returns the runs' ids."""
        self.look_only()
        return self.work()

    def look_only(self) -> None:
        """One look of each sensor, as the daemon does it when its interval is over."""
        self._forget("last_tick_timestamp", "last_tick_start_timestamp")
        before = self._ticks()
        list(execute_sensor_iteration(self._context, self._log, None, None))
        after = self._ticks()
        assert after
        assert all(count == before[sensor] + 1 for sensor, count in after.items())

    def forget_cursor(self) -> None:
        """Lose what the sensors remember, as a daemon that dies before it is saved."""
        self._forget("cursor")

    def _forget(self, *names: str) -> None:
        for state in self.instance.all_instigator_state():
            assert state.instigator_data is not None
            data = state.instigator_data._replace(**dict.fromkeys(names))
            self.instance.update_instigator_state(state.with_data(data))

    def _ticks(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for state in self.instance.all_instigator_state():
            ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id)
            assert not any(tick.status is TickStatus.FAILURE for tick in ticks), ticks
            found[state.selector_id] = len(ticks)
        return found

    def start(self) -> list[Worker]:
        """Start a process for each run that waits for one, oldest first."""
        waiting = RunsFilter(statuses=[DagsterRunStatus.STARTING])
        runs = reversed(self.instance.get_runs(filters=waiting))
        return [Worker(self.instance, run) for run in runs]

    def work(self) -> list[str]:
        """Execute each run that waits for a process, one after the other."""
        done = []
        waiting = RunsFilter(statuses=[DagsterRunStatus.STARTING])
        for run in reversed(self.instance.get_runs(filters=waiting)):
            Worker(self.instance, run).end()
            done.append(run.run_id)
        return done

    def perform(self, *args: Any, **options: Any) -> str:
        """Launch and execute; returns the run's id."""
        run_id = self.launch(*args, **options)
        assert run_id in self.work()
        return run_id

    def again(self, run_id: str, strategy: str = "ALL_STEPS") -> str:
        """Re-execute; returns the new run's id."""
        new_id = self.reexecute(run_id, strategy)
        assert new_id in self.work()
        return new_id

    def succeeded(self, run_id: str) -> bool:
        """Whether a run has ended well."""
        run = self.instance.get_run_by_id(run_id)
        return run is not None and run.status is DagsterRunStatus.SUCCESS

    def executed(self, run_id: str) -> set[str]:
        """The steps that a run has begun."""
        started = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
        return {str(entry.step_key) for entry in started}

    def materialized(self, run_id: str) -> dict[str, dict[str, Any]]:
        """What a run has materialized, with the metadata."""
        wanted = dg.DagsterEventType.ASSET_MATERIALIZATION
        found = {}
        for entry in self.instance.all_logs(run_id, of_type=wanted):
            made = entry.asset_materialization
            assert made is not None
            shown = {name: item.value for name, item in made.metadata.items()}
            found[made.asset_key.to_user_string()] = shown
        return found

    def why(self, run_id: str) -> str:
        """The steps' failures, as text."""
        failures = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        return "\n".join(str(entry.dagster_event) for entry in failures)

    def _ask(self, query: str, params: Mapping[str, Any]) -> Any:
        context = self._context.create_request_context()
        (answer,) = execute_dagster_graphql(context, query, {"p": params}).data.values()
        assert "Success" in answer["__typename"], answer
        return answer
