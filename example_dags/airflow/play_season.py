"""The season of the flights on a real Airflow: `python play_season.py [DIR] [--keep]`.

Starts Airflow's four parts, lands each night's data, triggers `nightly_retraining` for it, lets the
reviewers vote where a sign-off waits, kills the worker on the night that is there for it, and ends
with the season's table. DIR (default `.demo/airflow`) is wiped first unless `--keep` is given; an
Airflow that runs in it already is used as it is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
from parts import USER, Airflow, Setup, prepare, running

from backbeat import Platform
from backbeat.errors import RetryableError
from flights.landing import land_night
from flights.patience import patiently
from flights.play import NIGHT_SECONDS, Player, console
from flights.reviewers import vote_open
from flights.season import Night

DAG = "nightly_retraining"
_SHOWN = {"success": "green", "failed": "red", "upstream_failed": "red", "up_for_retry": "yellow"}
_ENDED = frozenset({"success", "failed"})


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
        def ask() -> dict[str, Any]:
            found: dict[str, Any] = self._client.get(path).raise_for_status().json()
            return found

        return patiently(ask, on=httpx.HTTPError)


def play_night(night: Night, nights: Nights, platform: Platform) -> None:
    """Play one night and tell about it."""
    started = time.monotonic()
    run = nights.trigger(night.day)
    seen: dict[str, tuple[str, int]] = {}
    for tasks in nights.follow(run):
        for name, task in tasks.items():
            now = (str(task["state"]), int(task["try_number"]))
            if seen.get(name) != now:
                seen[name] = now
                _tell(name, task, time.monotonic() - started)
        if "deferred" in {state for state, _ in seen.values()}:
            for request in patiently(lambda: vote_open(platform), on=RetryableError):
                console.print(f"  the reviewers have signed {request}")


def _tell(name: str, task: dict[str, Any], seconds: float) -> None:
    state = task["state"]
    if state not in {*_SHOWN, "deferred"}:
        return
    again = f", try {task['try_number']}" if task["try_number"] > 1 else ""
    took = f" ({task['duration']:.1f} s)" if task["duration"] else ""
    color = _SHOWN.get(state, "cyan")
    console.print(f"  {seconds:5.1f} s  {name:<10} [{color}]{state}[/{color}]{again}{took}")


def main() -> int:
    """Play the season; 0 where every night ended as the season expects."""
    player = Player.from_arguments("Airflow")
    platform = player.platform()
    setup = Setup(platform=player.settings, database=player.database, retries=player.retries)
    console.print(f"Starting Airflow in {player.folder / 'home'} (about a minute)")
    migration = prepare(player.folder, setup)
    # while Airflow makes its database
    land_night(platform.store, player.nights[0])
    with running(player.folder, migration, setup) as airflow:
        console.print(f"Airflow is at {airflow.url}, user {USER}, password in {airflow.passwords}")
        nights = Nights(airflow)
        nights.wait_for_dag()
        console.print(f"ready after {player.seconds():.0f} s")
        seconds = player.play(platform, lambda night: play_night(night, nights, platform))
    return player.tell(platform, seconds, program=Path(__file__).with_name("parts.py"))


if __name__ == "__main__":
    sys.exit(main())
