"""Dagster's three parts on 127.0.0.1, started and stopped as plain processes.

    python parts.py up DIR      leave them running, say where
    python parts.py down DIR    stop them by their recorded process ids

The platform (store, ledger, MLflow) is DIR itself, where no option names another; Dagster's own
things are in DIR/home.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests

from flights.options import add_platform_options, platform_settings
from flights.processes import Parts, free_ports

__all__ = ["Dagster", "Setup", "running", "start", "stop"]

HOST = "127.0.0.1"
LOCATION = "pipelines"
_HEALTHY_SECONDS = 300
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
  max_retries: {retries}
  retry_on_asset_or_op_failure: false
"""
_POSTGRES = """\
storage:
  postgres:
    postgres_url:
      env: DAGSTER_POSTGRES_URL
"""
_HEALTH = """\
{
  instance { daemonHealth { allDaemonStatuses { required healthy } } }
  repositoriesOrError { __typename ... on RepositoryConnection { nodes { name } } }
}
"""


@dataclass(frozen=True)
class Setup:
    """What a Dagster consists of, where it is not the small one of the demo.

    Args:
        platform: The platform's settings beside its folder.
        database: Dagster's own database (`postgresql://…`); SQLite files where empty.
        retries: How often a step is tried again, and a run whose worker died is continued.
    """

    platform: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    retries: int = 2


@dataclass(frozen=True)
class Dagster:
    """A running Dagster.

    Args:
        folder: Where it lives.
        port: Port of its web pages and its API.
    """

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Address of its web pages."""
        return f"http://{HOST}:{self.port}"


def environment(folder: Path, setup: Setup | None = None) -> dict[str, str]:
    """What every part finds in its environment."""
    setup = setup or Setup()
    settings = {f"BACKBEAT_{name.upper()}": value for name, value in setup.platform.items()}
    if setup.database:
        settings["DAGSTER_POSTGRES_URL"] = setup.database
    # what `adopt_existing` reads, where nobody has a server of their own
    theirs = setup.platform.get("tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI")
    return {
        **settings,
        "FLIGHTS_RETRIES": str(setup.retries),
        "MLFLOW_TRACKING_URI": theirs or f"sqlite:///{folder / 'mlflow.db'}",
        "DAGSTER_HOME": str(folder / "home"),
        "BACKBEAT_FOLDER": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def start(folder: Path, setup: Setup | None = None) -> Dagster:
    """Start the parts and wait until all of them are healthy.

    Args:
        folder: Where the platform and Dagster live.
        setup: What it consists of.

    Raises:
        RuntimeError: A part has ended, or does not become healthy; with the end of its log.
    """
    folder, setup = folder.absolute(), setup or Setup()
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    code_port, port = free_ports(2)
    instance = _INSTANCE.format(retries=setup.retries)
    (home / "dagster.yaml").write_text(instance + (_POSTGRES if setup.database else ""))
    workspace = home / "workspace.yaml"
    workspace.write_text(
        "load_from:\n"
        f"- grpc_server: {{host: {HOST}, port: {code_port}, location_name: {LOCATION}}}\n"
    )
    code = ["api", "grpc", "--module-name", "pipelines.definitions", "--location-name", LOCATION]
    settings, parts = environment(folder, setup), Parts(home)
    dagster = Dagster(folder=folder, port=port)

    def begin(name: str, program: str, *arguments: str) -> None:
        parts.start(name, [str(Path(sys.executable).with_name(program)), *arguments], settings)

    try:
        begin("code-server", "dagster", *code, "--host", HOST, "--port", str(code_port))
        # the others give up on a code server that does not answer yet
        parts.wait_until(lambda: _listens(code_port), "code-server", seconds=_HEALTHY_SECONDS)
        begin("daemon", "dagster-daemon", "run", "--workspace", str(workspace))
        where = ("--host", HOST, "--port", str(port), "--workspace", str(workspace))
        begin("webserver", "dagster-webserver", *where)
        parts.wait_until(
            lambda: _is_healthy(dagster),
            *("code-server", "daemon", "webserver"),
            seconds=_HEALTHY_SECONDS,
        )
    except BaseException:
        parts.stop()
        raise
    return dagster


def stop(folder: Path) -> list[str]:
    """Stop the recorded parts, the hard way where they do not go by themselves.

    Returns:
        The parts that were still running.
    """
    return Parts(folder / "home").stop()


@contextmanager
def running(folder: Path, setup: Setup | None = None) -> Iterator[Dagster]:
    """Dagster for the length of a `with` block; stopped at its end, however that comes."""
    try:
        yield start(folder, setup)
    finally:
        stop(folder)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _is_healthy(dagster: Dagster) -> bool:
    with suppress(requests.RequestException, KeyError, TypeError):
        asked = requests.post(f"{dagster.url}/graphql", json={"query": _HEALTH}, timeout=10)
        data = asked.json()["data"]
        daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
        needed = [daemon["healthy"] for daemon in daemons if daemon["required"]]
        return bool(needed and all(needed) and data["repositoriesOrError"]["nodes"])
    return False


def main() -> int:
    """`up DIR` or `down DIR`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["up", "down"])
    parser.add_argument("folder", type=Path)
    add_platform_options(parser)
    given = parser.parse_args()
    if given.what == "down":
        print(f"stopped: {', '.join(stop(given.folder)) or 'nothing was running'}")
        return 0
    setup = Setup(platform=platform_settings(given), database=given.database)
    print(f"Dagster is at {start(given.folder, setup).url}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
