"""Dagster's three parts on 127.0.0.1, started and stopped as plain processes.

    python parts.py up DIR      leave them running, say where
    python parts.py down DIR    stop them by their recorded process ids

The platform (store, ledger, MLflow) is DIR itself; Dagster's own things are in DIR/home.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

__all__ = ["Dagster", "running", "start", "stop"]

HOST = "127.0.0.1"
LOCATION = "pipelines"
_HEALTHY_SECONDS = 300
_STOP_SECONDS = 20
# A run whose worker died is continued from where it was; a step that failed has said why, and what
# a retry of it means is the step's own business.
_INSTANCE = """\
telemetry:
  enabled: false
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
"""
_HEALTH = """\
{
  instance { daemonHealth { allDaemonStatuses { required healthy } } }
  repositoriesOrError { __typename ... on RepositoryConnection { nodes { name } } }
}
"""


@dataclass(frozen=True)
class Dagster:
    """A running Dagster.

    Args:
        folder: Where it lives.
        port: Port of its web pages and its API.
        pids: Process id of each part, which leads a session of its own.
    """

    folder: Path
    port: int
    pids: dict[str, int]

    @property
    def url(self) -> str:
        """Address of its web pages."""
        return f"http://{HOST}:{self.port}"


def environment(folder: Path) -> dict[str, str]:
    """What every part finds in its environment."""
    return {
        # what `adopt_existing` reads, where nobody has a server of their own
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        **os.environ,
        "DAGSTER_HOME": str(folder / "home"),
        "BACKBEAT_FOLDER": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def start(folder: Path) -> Dagster:
    """Start the parts and wait until all of them are healthy.

    Args:
        folder: Where the platform and Dagster live.

    Raises:
        RuntimeError: A part has ended, or does not become healthy; names its log.
    """
    folder = folder.absolute()
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    code_port, port = _free_ports(2)
    (home / "dagster.yaml").write_text(_INSTANCE)
    workspace = home / "workspace.yaml"
    workspace.write_text(
        "load_from:\n"
        f"- grpc_server: {{host: {HOST}, port: {code_port}, location_name: {LOCATION}}}\n"
    )
    code = ["api", "grpc", "--module-name", "pipelines.definitions", "--location-name", LOCATION]
    commands = {
        "code-server": ["dagster", *code, "--host", HOST, "--port", str(code_port)],
        "daemon": ["dagster-daemon", "run", "--workspace", str(workspace)],
        "webserver": [
            *("dagster-webserver", "--host", HOST, "--port", str(port)),
            *("--workspace", str(workspace)),
        ],
    }
    processes = {"code-server": _begin(folder, "code-server", commands["code-server"])}
    dagster = Dagster(folder=folder, port=port, pids={})
    try:
        # the others give up on a code server that does not answer yet
        _wait_for_port(code_port, folder, processes)
        for name in ("daemon", "webserver"):
            processes[name] = _begin(folder, name, commands[name])
        dagster.pids.update({name: process.pid for name, process in processes.items()})
        _write_record(dagster)
        _wait_until_healthy(dagster, processes)
    except BaseException:
        dagster.pids.update({name: process.pid for name, process in processes.items()})
        _write_record(dagster)
        stop(folder)
        raise
    return dagster


def stop(folder: Path) -> list[str]:
    """Stop the recorded parts, the hard way where they do not go by themselves.

    Returns:
        The parts that were still running.
    """
    record = _record(folder.absolute())
    if not record.exists():
        return []
    pids: dict[str, int] = json.loads(record.read_text())["pids"]
    alive = {name: pid for name, pid in pids.items() if _is_ours(pid, folder.absolute())}
    for kind, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        for pid in alive.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, kind)
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(map(_group_lives, alive.values())):
            time.sleep(0.1)
    record.unlink()
    return sorted(alive)


@contextmanager
def running(folder: Path) -> Iterator[Dagster]:
    """Dagster for the length of a `with` block; stopped at its end, however that comes."""
    try:
        yield start(folder)
    finally:
        stop(folder)


def _begin(folder: Path, name: str, command: list[str]) -> subprocess.Popen[bytes]:
    program = Path(sys.executable).parent / command[0]
    with _log(folder, name).open("ab") as log:
        # a session of its own: started from a shell's background, Dagster would ignore SIGTERM
        return subprocess.Popen(  # noqa: S603 - a fixed command
            [str(program), *command[1:]],
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_for_port(port: int, folder: Path, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    end = time.monotonic() + _HEALTHY_SECONDS
    while time.monotonic() < end:
        _refuse_ended(folder, processes)
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the code server did not answer, see {_log(folder, 'code-server')}")


def _wait_until_healthy(dagster: Dagster, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    end = time.monotonic() + _HEALTHY_SECONDS
    while time.monotonic() < end:
        _refuse_ended(dagster.folder, processes)
        with suppress(requests.RequestException, KeyError, TypeError):
            asked = requests.post(f"{dagster.url}/graphql", json={"query": _HEALTH}, timeout=10)
            data = asked.json()["data"]
            daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
            needed = [daemon["healthy"] for daemon in daemons if daemon["required"]]
            if needed and all(needed) and data["repositoriesOrError"]["nodes"]:
                return
        time.sleep(0.3)
    raise RuntimeError(
        f"Dagster did not become healthy in {_HEALTHY_SECONDS} s, see {dagster.folder / 'home'}"
    )


def _refuse_ended(folder: Path, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, process in processes.items():
        if process.poll() is not None:
            raise RuntimeError(
                f"Dagster's {name} ended with {process.returncode}, see {_log(folder, name)}"
            )


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _is_ours(pid: int, folder: Path) -> bool:
    # a recorded number may belong to somebody else by now
    with suppress(OSError):
        return (
            f"DAGSTER_HOME={folder / 'home'}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        )
    return False


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


def _write_record(dagster: Dagster) -> None:
    _record(dagster.folder).write_text(json.dumps({"url": dagster.url, "pids": dagster.pids}))


def main(arguments: list[str]) -> int:
    """`up DIR` or `down DIR`."""
    match arguments:
        case ["up", folder]:
            print(f"Dagster is at {start(Path(folder)).url}")
        case ["down", folder]:
            print(f"stopped: {', '.join(stop(Path(folder))) or 'nothing was running'}")
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
