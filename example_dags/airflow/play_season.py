"""The season of the flights on a real Airflow: `python play_season.py [DIR] [--keep]`.

Starts Airflow's four parts, lands each night's data, triggers `nightly_retraining` for it, lets the
reviewers vote where a sign-off waits, kills the worker on the night that is there for it, and ends
with the season's table. DIR (default `.demo/airflow`) is wiped first unless `--keep` is given.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
from parts import USER, Airflow, prepare, running
from rich.console import Console

from backbeat import Platform, embedded
from backbeat.runner import tick
from flights.landing import land_night
from flights.reviewers import vote_open
from flights.season import SEASON, STORY, Night
from flights.table import ledger_rows, print_table, unexpected
from flights.worker_fault import kill_while_scoring

DAG = "nightly_retraining"
NIGHT_SECONDS = 600
_SHOWN = {"success": "green", "failed": "red", "upstream_failed": "red", "up_for_retry": "yellow"}
_ENDED = frozenset({"success", "failed"})
console = Console(highlight=False)


class Nights:
    """The DAG's runs, through Airflow's public API.

    Args:
        airflow: The running Airflow.
    """

    def __init__(self, airflow: Airflow) -> None:
        login = {"username": USER, "password": airflow.password()}
        token = httpx.post(f"{airflow.url}/auth/token", json=login, timeout=60)
        self._client = httpx.Client(
            base_url=f"{airflow.url}/api/v2",
            headers={"Authorization": f"Bearer {token.raise_for_status().json()['access_token']}"},
            timeout=60,
        )

    def wait_for_dag(self, seconds: float = 120) -> None:
        """Wait until the DAG processor has read the DAG.

        Raises:
            TimeoutError: It has not, with the import error if there is one.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._client.get(f"/dags/{DAG}").status_code == httpx.codes.OK:
                return
            time.sleep(0.3)
        errors = [error["stack_trace"] for error in self._get("/importErrors")["import_errors"]]
        raise TimeoutError(f"Airflow does not know {DAG}: {errors or 'no import error'}")

    def trigger(self, night: date) -> str:
        """Start the night's run; returns its id."""
        body = {"logical_date": f"{night.isoformat()}T00:00:00Z"}
        answer = self._client.post(f"/dags/{DAG}/dagRuns", json=body).raise_for_status()
        return str(answer.json()["dag_run_id"])

    def follow(self, run: str, seconds: float = NIGHT_SECONDS) -> Iterator[dict[str, Any]]:
        """The run's task instances, one look after the other, until it has ended.

        Raises:
            TimeoutError: It does not end.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ended = self._get(f"/dags/{DAG}/dagRuns/{run}")["state"] in _ENDED
            tasks = self._get(f"/dags/{DAG}/dagRuns/{run}/taskInstances")["task_instances"]
            yield {task["task_id"]: task for task in tasks}
            if ended:
                return
            time.sleep(0.5)
        raise TimeoutError(f"the run {run} did not end within {seconds:.0f} s")

    def _get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(path).raise_for_status().json()
        return found


def play_night(night: Night, nights: Nights, platform: Platform) -> float:
    """Play one night and tell about it; returns its seconds."""
    console.print(f"\n[bold]{night.day}[/bold]  {STORY[night.story]}. {night.note}")
    if night.fault is not None:
        console.print(f"  [yellow]{night.fault.label}[/yellow]")
    land_night(platform.store.locate("landing").parent, night)
    started = time.monotonic()
    run = nights.trigger(night.day)
    killer = threading.Thread(target=_kill, args=(platform, night.day), daemon=True)
    if night.kills_worker:
        killer.start()
    seen: dict[str, tuple[str, int]] = {}
    for tasks in nights.follow(run):
        for name, task in tasks.items():
            now = (str(task["state"]), int(task["try_number"]))
            if seen.get(name) != now:
                seen[name] = now
                _tell(name, task, time.monotonic() - started)
        if "deferred" in {state for state, _ in seen.values()}:
            for request in vote_open(platform):
                console.print(f"  the reviewers have signed {request}")
    tick(platform)
    return time.monotonic() - started


def _tell(name: str, task: dict[str, Any], seconds: float) -> None:
    state = task["state"]
    if state not in {*_SHOWN, "deferred"}:
        return
    again = f", try {task['try_number']}" if task["try_number"] > 1 else ""
    took = f" ({task['duration']:.1f} s)" if task["duration"] else ""
    color = _SHOWN.get(state, "cyan")
    console.print(f"  {seconds:5.1f} s  {name:<10} [{color}]{state}[/{color}]{again}{took}")


def _kill(platform: Platform, night: date) -> None:
    pid = kill_while_scoring(platform, night, timeout=NIGHT_SECONDS)
    console.print(f"  [red]the worker (process {pid}) was killed in the middle of scoring[/red]")


def main() -> int:
    """Play the season; 0 where every night ended as the season expects."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(".demo/airflow"))
    parser.add_argument("--keep", action="store_true", help="go on in the folder as it is")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.absolute()
    if folder.exists() and not arguments.keep:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)

    # a polite kill must stop Airflow's parts too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    platform = embedded(folder)
    seconds: dict[str, float] = {}
    console.print(f"Starting Airflow in {folder / 'home'} (about a minute)")
    migration = prepare(folder)
    land_night(
        platform.store.locate("landing").parent, SEASON[0]
    )  # while Airflow makes its database
    with running(folder, migration) as airflow:
        console.print(f"Airflow is at {airflow.url}, user {USER}, password in {airflow.passwords}")
        nights = Nights(airflow)
        nights.wait_for_dag()
        console.print(f"ready after {time.monotonic() - began:.0f} s")
        for night in SEASON:
            seconds[night.day.isoformat()] = play_night(night, nights, platform)
    rows = ledger_rows(platform, seconds=seconds)
    console.print()
    print_table(rows, title=f"The season on Airflow, {time.monotonic() - began:.0f} s")
    console.print(
        f"\nWhere to look next:\n"
        f"  ledger    backbeat runs list --folder {folder}\n"
        f"  sign-offs backbeat signoff list --folder {folder}\n"
        f"  MLflow    mlflow server --backend-store-uri sqlite:///{folder / 'mlflow.db'}\n"
        f"  reports   {folder / 'store' / 'reports'}\n"
        f"  Airflow   python {Path(__file__).with_name('parts.py')} up {folder}"
    )
    wrong = unexpected(rows)
    for sentence in wrong:
        console.print(f"[red]not as expected:[/red] {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
