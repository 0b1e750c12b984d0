"""Airflow's parts on 127.0.0.1, started and stopped as plain processes.

    python parts.py up DIR      leave them running, say where
    python parts.py down DIR    stop them by their recorded process ids

The platform (store, ledger, MLflow) is DIR itself, where no option names another; Airflow's own
things are in DIR/home.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from flights.options import add_platform_options, platform_settings
from flights.processes import Parts, free_ports

__all__ = ["Airflow", "Setup", "prepare", "running", "start", "stop"]

USER = "admin"
# who signs in the examples; each has a password of their own beside the admin's
PEOPLE = ("ada", "grace", "mary")
# the servers for logs would listen on every interface
PARTS = {
    "api-server": ["api-server", "--host", "127.0.0.1", "--workers", "1"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
WORKER = ["celery", "worker", "--skip-serve-logs", "--concurrency", "2", "--queues", "default"]
# Airflow imports this file in each of its parts. A task is forked from the scheduler's or Celery's
# workers: what those have loaded, a task need not load again (8 s of every task, measured).
LOCAL_SETTINGS = """
import os
import sys

RETRIES = int(os.environ["FLIGHTS_RETRIES"])


def task_policy(task):
    task.retries = max(task.retries or 0, RETRIES)


if {"scheduler", "celery"} & {*sys.argv}:
    import great_expectations, mlflow.sklearn  # noqa: F401
    import pyarrow.dataset, sklearn.ensemble, skops.io  # noqa: F401
"""
_HEALTHY_SECONDS = 300


@dataclass(frozen=True)
class Setup:
    """What an Airflow consists of, where it is not the small one of the demo.

    Args:
        platform: Settings of the connection `backbeat_default` beside its folder.
        database: Airflow's own database (`postgresql+psycopg2://…`); SQLite where empty.
        migrated: Whether that database has Airflow's tables already.
        broker: Celery's broker; tasks run on two Celery workers where it is given, else with the
            LocalExecutor.
        schedulers: How many schedulers.
        retries: How often a task is tried again at least, whatever its DAG says.
    """

    platform: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    migrated: bool = False
    broker: str = ""
    schedulers: int = 1
    retries: int = 0

    def commands(self) -> dict[str, list[str]]:
        """The command of each part, after `airflow`."""
        commands = dict(PARTS)
        for number in range(2, self.schedulers + 1):
            commands[f"scheduler-{number}"] = PARTS["scheduler"]
        if self.broker:
            for name in ("worker-1", "worker-2"):
                commands[name] = [*WORKER, "--celery-hostname", f"{name}@%h"]
        return commands


@dataclass(frozen=True)
class Airflow:
    """A running Airflow.

    Args:
        folder: Where it lives.
        url: Address of its web pages and its API.
    """

    folder: Path
    url: str

    @property
    def passwords(self) -> Path:
        """The file in which Airflow keeps the passwords that it made up for `admin` and others."""
        return self.folder / "home" / "passwords.json"

    def password(self) -> str:
        """That password."""
        return str(json.loads(self.passwords.read_text())[USER])


def environment(folder: Path, port: int, setup: Setup | None = None) -> dict[str, str]:
    """The settings of a small Airflow that answers quickly and runs nothing by the calendar."""
    setup = setup or Setup()
    home = folder / "home"
    platform = {"folder": str(folder), **setup.platform}
    without = {**platform, "ledger": "none", "tracking_uri": "none"}
    settings = {
        "CORE__DAGS_FOLDER": str(Path(__file__).parent),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "CeleryExecutor" if setup.broker else "LocalExecutor",
        "CORE__PARALLELISM": "4",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:admin" for name in (USER, *PEOPLE)),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__SECRET_KEY": secrets.token_hex(),
        "API_AUTH__JWT_SECRET": secrets.token_hex(),
        "LOGGING__LOGGING_LEVEL": "WARNING",
        "SCHEDULER__USE_JOB_SCHEDULE": "False",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
        "TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    if setup.database:
        settings["DATABASE__SQL_ALCHEMY_CONN"] = setup.database
    if setup.broker:
        settings["CELERY__BROKER_URL"] = setup.broker
        # a worker that is gone cannot say so: its silence is what the scheduler sees
        settings["SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"] = "20"
        settings["SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL"] = "5"
    return {
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        "AIRFLOW_HOME": str(home),
        "FLIGHTS_RETRIES": str(setup.retries),
        "AIRFLOW_CONN_BACKBEAT_DEFAULT": _connection(platform),
        "AIRFLOW_CONN_DRIFT_ONLY": _connection(without),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def prepare(folder: Path, setup: Setup | None = None) -> subprocess.Popen[bytes] | None:
    """Begin to make Airflow's own database; `start` waits for it. None where it is there."""
    setup = setup or Setup()
    if setup.migrated or Parts(folder / "home").alive():
        return None
    (folder / "home").mkdir(parents=True, exist_ok=True)
    with (folder / "home" / "migrate.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - a fixed command
            _airflow("db", "migrate"),
            env={**os.environ, **environment(folder, 0, setup)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def start(
    folder: Path, migration: subprocess.Popen[bytes] | None = None, setup: Setup | None = None
) -> Airflow:
    """Start the parts and wait until all of them are healthy.

    Args:
        folder: Where the platform and Airflow live.
        migration: What `prepare` has begun.
        setup: What it consists of.

    Raises:
        RuntimeError: A part has ended, or does not become healthy; with the end of its log.
    """
    folder, setup = folder.absolute(), setup or Setup()
    migration = migration or prepare(folder, setup)
    if migration is not None and migration.wait() != 0:
        log = folder / "home" / "migrate.log"
        raise RuntimeError(f"Airflow's database was not made, see {log}")
    config = folder / "home" / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    (port,) = free_ports(1)
    settings = environment(folder, port, setup)
    airflow = Airflow(folder=folder, url=settings["AIRFLOW__API__BASE_URL"])
    parts, commands = Parts(folder / "home"), setup.commands()
    try:
        for name, command in commands.items():
            parts.start(name, _airflow(*command), settings)
        parts.wait_until(lambda: _is_healthy(airflow), *commands, seconds=_HEALTHY_SECONDS)
    except BaseException:
        parts.stop()
        raise
    return airflow


def stop(folder: Path) -> list[str]:
    """Stop the recorded parts, the hard way where they do not go by themselves.

    Returns:
        The parts that were still running.
    """
    return Parts(folder / "home").stop()


@contextmanager
def running(
    folder: Path, migration: subprocess.Popen[bytes] | None = None, setup: Setup | None = None
) -> Iterator[Airflow]:
    """Airflow for the length of a `with` block, stopped at its end, however that comes.

    One that runs there already is used as it is, and goes on running.
    """
    parts = Parts(folder / "home")
    if "api-server" in parts.alive():
        yield Airflow(folder.absolute(), parts.settings("api-server")["AIRFLOW__API__BASE_URL"])
        return
    try:
        yield start(folder, migration, setup)
    finally:
        parts.stop()


def _airflow(*command: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *command]


def _is_healthy(airflow: Airflow) -> bool:
    with suppress(httpx.HTTPError, ValueError):
        health = httpx.get(f"{airflow.url}/api/v2/monitor/health", timeout=5).json()
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all(health[part]["status"] == "healthy" for part in parts)
    return False


def _connection(extra: dict[str, str]) -> str:
    return json.dumps({"conn_type": "backbeat", "extra": extra})


def main() -> int:
    """`up DIR` or `down DIR`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["up", "down"])
    parser.add_argument("folder", type=Path)
    add_platform_options(parser)
    parser.add_argument("--migrated", action="store_true", help="the database has its tables")
    parser.add_argument("--broker", default="", help="Celery's broker: run two Celery workers")
    parser.add_argument("--schedulers", type=int, default=1)
    given = parser.parse_args()
    if given.what == "down":
        print(f"stopped: {', '.join(stop(given.folder)) or 'nothing was running'}")
        return 0
    setup = Setup(
        platform=platform_settings(given),
        database=given.database,
        migrated=given.migrated,
        broker=given.broker,
        schedulers=given.schedulers,
    )
    airflow = start(given.folder, setup=setup)
    print(f"Airflow is at {airflow.url}, user {USER}, password in {airflow.passwords}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
