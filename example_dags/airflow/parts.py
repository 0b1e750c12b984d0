"""Airflow's four parts on 127.0.0.1, started and stopped as plain processes.

    python parts.py up DIR      leave them running, say where
    python parts.py down DIR    stop them by their recorded process ids

The platform (store, ledger, MLflow) is DIR itself; Airflow's own things are in DIR/home.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

__all__ = ["Airflow", "prepare", "running", "start", "stop"]

USER = "admin"
# the servers for logs would listen on every interface
PARTS = {
    "api-server": ["api-server", "--host", "127.0.0.1", "--workers", "1"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
# Airflow imports this file in each of its parts. A local task is forked from the scheduler's
# workers: what the scheduler has loaded, a task need not load again (8 s of every task, measured).
LOCAL_SETTINGS = """
import sys

if "scheduler" in sys.argv:
    import great_expectations, mlflow.sklearn  # noqa: F401
    import pyarrow.dataset, sklearn.ensemble, skops.io  # noqa: F401
"""
_HEALTHY_SECONDS = 300
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Airflow:
    """A running Airflow.

    Args:
        folder: Where it lives.
        url: Address of its web pages and its API.
        pids: Process id of each part, which leads a session of its own.
    """

    folder: Path
    url: str
    pids: dict[str, int]

    @property
    def passwords(self) -> Path:
        """The file in which Airflow keeps the password that it made up for `admin`."""
        return self.folder / "home" / "passwords.json"

    def password(self) -> str:
        """That password."""
        return str(json.loads(self.passwords.read_text())[USER])


def environment(folder: Path, port: int) -> dict[str, str]:
    """The settings of a small Airflow that answers quickly and runs nothing by the calendar."""
    home = folder / "home"
    platform = {"folder": str(folder)}
    without = {"folder": str(folder), "ledger": "none", "tracking_uri": "none"}
    settings = {
        "CORE__DAGS_FOLDER": str(Path(__file__).parent),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "4",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
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
    return {
        **os.environ,
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_BACKBEAT_DEFAULT": _connection(platform),
        "AIRFLOW_CONN_DRIFT_ONLY": _connection(without),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def prepare(folder: Path) -> subprocess.Popen[bytes]:
    """Begin to make Airflow's own database; `start` waits for it."""
    config = folder / "home" / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    return _begin(folder, "migrate", ["db", "migrate"], environment(folder, 0))


def start(folder: Path, migration: subprocess.Popen[bytes] | None = None) -> Airflow:
    """Start the parts and wait until all of them are healthy.

    Args:
        folder: Where the platform and Airflow live.
        migration: What `prepare` has begun.

    Raises:
        RuntimeError: A part has ended, or does not become healthy; names its log.
    """
    folder = folder.absolute()
    migration = migration or prepare(folder)
    if migration.wait() != 0:
        raise RuntimeError(f"Airflow's database was not made, see {_log(folder, 'migrate')}")
    port = _free_port()
    settings = environment(folder, port)
    processes = {name: _begin(folder, name, command, settings) for name, command in PARTS.items()}
    airflow = Airflow(
        folder=folder,
        url=f"http://127.0.0.1:{port}",
        pids={name: process.pid for name, process in processes.items()},
    )
    started = {name: [pid, _birth(pid)] for name, pid in airflow.pids.items()}
    _record(folder).write_text(json.dumps({"url": airflow.url, "parts": started}))
    try:
        _wait_until_healthy(airflow, processes)
    except BaseException:
        stop(folder)
        raise
    return airflow


def stop(folder: Path) -> list[str]:
    """Stop the recorded parts, the hard way where they do not go by themselves.

    Returns:
        The parts that were still running.
    """
    record = _record(folder.absolute())
    if not record.exists():
        return []
    # a recorded number may belong to somebody else by now: its birth tells
    started = json.loads(record.read_text())["parts"]
    alive = {name: pid for name, (pid, birth) in started.items() if birth and _birth(pid) == birth}
    for kind, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        for pid in alive.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, kind)
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(map(_group_lives, alive.values())):
            time.sleep(0.1)
    record.unlink(missing_ok=True)
    return sorted(alive)


@contextmanager
def running(folder: Path, migration: subprocess.Popen[bytes] | None = None) -> Iterator[Airflow]:
    """Airflow for the length of a `with` block; stopped at its end, however that comes."""
    try:
        yield start(folder, migration)
    finally:
        stop(folder)


def _begin(
    folder: Path, name: str, command: list[str], settings: dict[str, str]
) -> subprocess.Popen[bytes]:
    with _log(folder, name).open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - a fixed command
            [sys.executable, "-m", "airflow", *command],
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_until_healthy(airflow: Airflow, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    end = time.monotonic() + _HEALTHY_SECONDS
    while time.monotonic() < end:
        for name, process in processes.items():
            if process.poll() is not None:
                raise RuntimeError(
                    f"Airflow's {name} ended with {process.returncode}, "
                    f"see {_log(airflow.folder, name)}"
                )
        with suppress(httpx.HTTPError, ValueError):
            health = httpx.get(f"{airflow.url}/api/v2/monitor/health", timeout=5).json()
            parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
            if all(health[part]["status"] == "healthy" for part in parts):
                return
        time.sleep(0.3)
    raise RuntimeError(
        f"Airflow did not become healthy in {_HEALTHY_SECONDS} s, see {airflow.folder / 'home'}"
    )


def _connection(extra: dict[str, str]) -> str:
    return json.dumps({"conn_type": "backbeat", "extra": extra})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _birth(pid: int) -> str:
    """When a process began, empty where there is none."""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def _group_lives(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _log(folder: Path, name: str) -> Path:
    return folder / "home" / f"{name}.log"


def _record(folder: Path) -> Path:
    return folder / "home" / "parts.json"


def main(arguments: list[str]) -> int:
    """`up DIR` or `down DIR`."""
    match arguments:
        case ["up", folder]:
            airflow = start(Path(folder))
            print(f"Airflow is at {airflow.url}, user {USER}, password in {airflow.passwords}")
        case ["down", folder]:
            print(f"stopped: {', '.join(stop(Path(folder))) or 'nothing was running'}")
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
