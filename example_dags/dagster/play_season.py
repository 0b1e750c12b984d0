"""The season of the flights on a real Dagster: `python play_season.py [DIR] [--keep]`.

Starts Dagster's three parts, lands each night's data, launches the night's partition, lets the
reviewers vote where a sign-off waits and the sensor continue, kills the worker on the night that is
there for it and lets the daemon retry, and ends with the season's table. DIR (default
`.demo/dagster`) is wiped first unless `--keep` is given.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import threading
import time
from datetime import date
from pathlib import Path

import dagster as dg
from dagster_graphql import DagsterGraphQLClient
from parts import HOST, Dagster, environment, running
from rich.console import Console

from backbeat import Platform, embedded
from backbeat.runner import tick
from flights.landing import land_night
from flights.reviewers import vote_open
from flights.season import SEASON, STORY, Night
from flights.table import ledger_rows, print_table, unexpected
from flights.worker_fault import kill_while_scoring

JOB = "flights_lifecycle"
NIGHT_SECONDS = 600
_SHOWN = {
    dg.DagsterEventType.ASSET_MATERIALIZATION: "[green]materialized[/green]",
    dg.DagsterEventType.STEP_FAILURE: "[red]failed[/red]",
    dg.DagsterEventType.STEP_UP_FOR_RETRY: "[yellow]up for retry[/yellow]",
    dg.DagsterEventType.ASSET_CHECK_EVALUATION: "",
}
console = Console(highlight=False)


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
            for request in vote_open(self._platform):
                console.print(f"  the reviewers have signed {request}")
            if self._is_over(runs):
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
                run.run_id in continued
                for run in runs
                if run.tags.get("dagster/will_retry") == "true"
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


def play_night(night: Night, nights: Nights, platform: Platform) -> float:
    """Play one night and tell about it; returns its seconds."""
    console.print(f"\n[bold]{night.day}[/bold]  {STORY[night.story]}. {night.note}")
    if night.fault is not None:
        console.print(f"  [yellow]injected:[/yellow] {night.fault.label}")
    land_night(platform.store.locate("landing").parent, night)
    started = time.monotonic()
    nights.launch(night.day)
    if night.kills_worker:
        threading.Thread(target=_kill, args=(platform, night.day), daemon=True).start()
    nights.follow(night.day)
    tick(platform)
    return time.monotonic() - started


def _kill(platform: Platform, night: date) -> None:
    pid = kill_while_scoring(platform, night, timeout=NIGHT_SECONDS)
    console.print(f"  [red]the worker (process {pid}) was killed in the middle of scoring[/red]")


def main() -> int:
    """Play the season; 0 where every night ended as the season expects."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(".demo/dagster"))
    parser.add_argument("--keep", action="store_true", help="go on in the folder as it is")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.absolute()
    if folder.exists() and not arguments.keep:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)

    # a polite kill must stop Dagster's parts too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    platform = embedded(folder)
    seconds: dict[str, float] = {}
    console.print(f"Starting Dagster in {folder / 'home'}")
    with running(folder) as dagster:
        os.environ["DAGSTER_HOME"] = environment(folder)["DAGSTER_HOME"]
        console.print(f"Dagster is at {dagster.url}, after {time.monotonic() - began:.0f} s")
        nights = Nights(dagster, platform)
        for night in SEASON:
            seconds[night.day.isoformat()] = play_night(night, nights, platform)
    rows = ledger_rows(platform, seconds=seconds)
    console.print()
    print_table(rows, title=f"The season on Dagster, {time.monotonic() - began:.0f} s")
    console.print(
        f"\nWhere to look next:\n"
        f"  ledger    backbeat runs list --folder {folder}\n"
        f"  sign-offs backbeat signoff list --folder {folder}\n"
        f"  MLflow    mlflow server --backend-store-uri sqlite:///{folder / 'mlflow.db'}\n"
        f"  reports   {folder / 'store' / 'reports'}\n"
        f"  Dagster   python {Path(__file__).with_name('parts.py')} up {folder}"
    )
    wrong = unexpected(rows)
    for sentence in wrong:
        console.print(f"[red]not as expected:[/red] {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
