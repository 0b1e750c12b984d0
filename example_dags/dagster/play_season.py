"""The season of the flights on a real Dagster: `python play_season.py [DIR] [--keep]`.

Starts Dagster's three parts, lands each night's data, launches the night's partition, lets the
reviewers vote where a sign-off waits and the sensor continue, kills the worker on the night that is
there for it and lets the daemon retry, and ends with the season's table. DIR (default
`.demo/dagster`) is wiped first unless `--keep` is given.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path

import dagster as dg
from dagster_graphql import DagsterGraphQLClient
from parts import HOST, Dagster, Setup, environment, running

from backbeat import Platform
from backbeat.errors import RetryableError
from flights.patience import patiently
from flights.play import NIGHT_SECONDS, Player, console
from flights.reviewers import vote_open
from flights.season import Night

JOB = "flights_lifecycle"
_SHOWN = {
    dg.DagsterEventType.ASSET_MATERIALIZATION: "[green]materialized[/green]",
    dg.DagsterEventType.STEP_FAILURE: "[red]failed[/red]",
    dg.DagsterEventType.STEP_UP_FOR_RETRY: "[yellow]up for retry[/yellow]",
    dg.DagsterEventType.ASSET_CHECK_EVALUATION: "",
}


class Nights:
    """The job's runs: launched through Dagster's API, followed in its event log.

    Args:
        dagster: The running Dagster.
        platform: What the steps run on.
    """

    def __init__(self, dagster: Dagster, platform: Platform) -> None:
        self._client = DagsterGraphQLClient(HOST, port_number=dagster.port)
        self._instance = dg.DagsterInstance.get()
        self._platform = platform
        self._seen: dict[str, str | None] = {}

    def launch(self, night: date) -> str:
        """Start the night's run; returns its id."""
        return self._client.submit_job_execution(JOB, tags={"dagster/partition": night.isoformat()})

    def follow(self, night: date, seconds: float = NIGHT_SECONDS) -> None:
        """Tell what happens until nothing of the night runs, waits, or will be retried.

        Raises:
            TimeoutError: That moment does not come.
        """
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            runs = self._runs(night)
            for run in reversed(runs):
                self._tell(run, time.monotonic() - began)
            # people take longer than the run that asks them
            if all(run.is_finished for run in runs):
                for request in patiently(lambda: vote_open(self._platform), on=RetryableError):
                    console.print(f"  the reviewers have signed {request}")
            if patiently(partial(self._is_over, runs), on=RetryableError):
                return
            time.sleep(0.5)
        raise TimeoutError(f"the night {night} did not end within {seconds:.0f} s")

    def _runs(self, night: date) -> list[dg.DagsterRun]:
        wanted = dg.RunsFilter(job_name=JOB, tags={"dagster/partition": night.isoformat()})
        return list(self._instance.get_runs(wanted))

    def _is_over(self, runs: list[dg.DagsterRun]) -> bool:
        continued = {run.parent_run_id for run in runs}
        return (
            all(run.is_finished for run in runs)
            and all(
                # Dagster says that it will not retry, a moment after it says that the run failed
                run.run_id in continued or run.tags.get("dagster/will_retry") == "false"
                for run in runs
                if run.status is dg.DagsterRunStatus.FAILURE
            )
            and not self._platform.ledger.runs(state="waiting")
        )

    def _tell(self, run: dg.DagsterRun, seconds: float) -> None:
        if run.run_id not in self._seen:
            self._seen[run.run_id] = None
            why = "the sensor continues" if "backbeat/request" in run.tags else ""
            why = "the daemon retries" if run.parent_run_id else why
            if why:
                console.print(f"  {seconds:5.1f} s  [cyan]{why}[/cyan] with run {run.run_id[:8]}")
        found = self._instance.get_records_for_run(
            run.run_id, cursor=self._seen[run.run_id], of_type=set(_SHOWN)
        )
        self._seen[run.run_id] = found.cursor
        for record in found.records:
            event = record.event_log_entry.dagster_event
            if event is None or event.step_key is None:
                continue
            said, name = _SHOWN[event.event_type], event.step_key.replace("__", "/")
            if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                result = event.asset_check_evaluation_data
                said = "[green]passed[/green]" if result.passed else "[yellow]not passed[/yellow]"
                name = f"{result.asset_key.path[-1]}:{result.check_name}"
                said += f" {result.description or ''}"
            console.print(f"  {seconds:5.1f} s  {name.rpartition('/')[2]:<20} {said}")


def play_night(night: Night, nights: Nights) -> None:
    """Play one night and tell about it."""
    nights.launch(night.day)
    nights.follow(night.day)


def main() -> int:
    """Play the season; 0 where every night ended as the season expects."""
    player = Player.from_arguments("Dagster")
    platform = player.platform()
    setup = Setup(platform=player.settings, database=player.database, retries=player.retries)
    console.print(f"Starting Dagster in {player.folder / 'home'}")
    with running(player.folder, setup) as dagster:
        # this process reads the event log of the same instance
        os.environ.update(environment(player.folder, setup))
        console.print(f"Dagster is at {dagster.url}, after {player.seconds():.0f} s")
        nights = Nights(dagster, platform)
        seconds = player.play(platform, lambda night: play_night(night, nights))
    return player.tell(platform, seconds, program=Path(__file__).with_name("parts.py"))


if __name__ == "__main__":
    sys.exit(main())
