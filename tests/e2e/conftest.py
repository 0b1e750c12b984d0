"""Real services around real orchestrators, all on this machine, started once for every test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from backbeat import Platform
from backbeat.wiring import from_settings
from flights import services
from flights.processes import Parts

ROOT = Path(__file__).parents[2]
# a folder of the repository's: pytest's own is closed to the user that PostgreSQL runs as, and its
# path can be too long for a socket
HOME = ROOT / ".up" / "e2e"
BUCKET = "flights"
ON_AIRFLOW = ("2013-05-04", "2013-05-05", "2013-06-14")
_PLAY_SECONDS = 900
# who leaves nothing running for the others goes first; Celery goes on where the local season ended
_ORDER = (
    "test_services",
    "test_dagster",
    "test_airflow_local",
    "test_airflow_celery",
    "test_required_actions",
    "test_sqlite_refused",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Play in an order that never keeps two orchestrators running at the same time."""
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    ours.sort(key=lambda item: _ORDER.index(item.path.stem))
    items[:] = [item for item in items if item not in ours] + ours


@dataclass(frozen=True)
class Stand:
    """A season's place: its platform's settings, and the orchestrator's own folder.

    Args:
        orchestrator: `airflow` or `dagster`.
        folder: The platform's folder; the orchestrator's parts live in `home/`.
        settings: What the platform has instead of the folder.
    """

    orchestrator: str
    folder: Path
    settings: dict[str, str]

    @property
    def parts(self) -> Parts:
        """The orchestrator's parts."""
        return Parts(self.folder / "home")

    def platform(self) -> Platform:
        """The platform that the season is played on, as this process sees it."""
        return from_settings({"folder": str(self.folder), **self.settings})

    def run(self, program: str, *arguments: str, **settings: str) -> str:
        """Run one of the example's programs to its end; returns what it said.

        Args:
            program: `parts` or `play_season`.
            *arguments: Its arguments before the platform's options.
            **settings: What its environment has beside this process's.
        """
        options = [
            word
            for name, value in self.settings.items()
            for word in (f"--{name.replace('_', '-')}", value)
        ]
        python = ROOT / f".venv-{self.orchestrator}" / "bin" / "python"
        script = ROOT / "example_dags" / self.orchestrator / f"{program}.py"
        done = subprocess.run(
            [str(python), str(script), *arguments, *options],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            timeout=_PLAY_SECONDS,
            check=False,
        )
        print(done.stdout)  # noqa: T201 - pytest shows it beside a failure
        assert done.returncode == 0, done.stderr[-6000:]
        return done.stdout


@pytest.fixture(scope="session")
def parts() -> Iterator[Parts]:
    """The services' parts; whatever an earlier, killed run has left is ended and wiped."""
    for record in HOME.glob("**/parts.json"):
        Parts(record.parent).stop()
    shutil.rmtree(HOME, ignore_errors=True)
    found = Parts(HOME / "services")
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="session")
def postgres(parts: Parts) -> services.Postgres:
    """One PostgreSQL for ledgers, MLflow and the orchestrators' own tables."""
    return services.postgres(parts)


@pytest.fixture(scope="session")
def broker(parts: Parts) -> str:
    """Celery's broker, a Redis on a socket."""
    return services.redis(parts)


@pytest.fixture(scope="session")
def bucket(parts: Parts) -> Iterator[str]:
    """An S3 server's bucket; every process that is started from here finds its way to it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in services.s3(parts, BUCKET).items():
            patch.setenv(name, value)
        yield f"s3://{BUCKET}"


@pytest.fixture(scope="session")
def listening() -> Callable[[Parts], dict[str, set[str]]]:
    """For each part, the addresses that its session's processes listen on."""

    def look(parts: Parts) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for name, pid in parts.alive().items():
            leader = psutil.Process(pid)
            family = [leader, *leader.children(recursive=True)]
            sockets = (socket for one in family for socket in one.net_connections("inet"))
            found[name] = {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN}
        return found

    return look


def _stand(orchestrator: str, parts: Parts, postgres: services.Postgres, bucket: str) -> Stand:
    ledger = postgres.create(f"ledger_{orchestrator}")
    migrate = [str(ROOT / ".venv-core" / "bin" / "backbeat"), "ledger", "migrate"]
    done = subprocess.run([*migrate, "--ledger", ledger], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    # a registry has one champion: each season has its own server
    tracking = services.mlflow_server(
        Parts(parts.home / f"mlflow-{orchestrator}"),
        postgres.create(f"mlflow_{orchestrator}"),
        program=ROOT / f".venv-{orchestrator}" / "bin" / "mlflow",
    )
    return Stand(
        orchestrator=orchestrator,
        folder=HOME / orchestrator,
        settings={"ledger": ledger, "tracking_uri": tracking, "store": f"{bucket}/{orchestrator}"},
    )


@pytest.fixture(scope="session")
def on_airflow(parts: Parts, postgres: services.Postgres, bucket: str) -> Iterator[Stand]:
    """The place of Airflow's season."""
    stand = _stand("airflow", parts, postgres, bucket)
    try:
        yield stand
    finally:
        stand.parts.stop()
        Parts(parts.home / "mlflow-airflow").stop()


@pytest.fixture(scope="session")
def on_dagster(parts: Parts, postgres: services.Postgres, bucket: str) -> Iterator[Stand]:
    """The place of Dagster's season."""
    stand = _stand("dagster", parts, postgres, bucket)
    try:
        yield stand
    finally:
        stand.parts.stop()
        Parts(parts.home / "mlflow-dagster").stop()


@pytest.fixture(scope="session")
def local_season(on_airflow: Stand, postgres: services.Postgres) -> Stand:
    """Three nights, played by Airflow's LocalExecutor on PostgreSQL."""
    postgres.create("airflow")
    database = postgres.url("airflow", scheme="postgresql+psycopg2")
    where = (str(on_airflow.folder), "--database", database)
    on_airflow.run("play_season", *where, "--nights", *ON_AIRFLOW)
    return on_airflow


@pytest.fixture(scope="session")
def celery(local_season: Stand, postgres: services.Postgres, broker: str) -> Iterator[Stand]:
    """Airflow with two Celery workers and two schedulers, to go on with the same season.

    Its database is a copy of the one that the LocalExecutor has left: making Airflow's tables anew
    takes half a minute.
    """
    postgres.create("airflow_celery", template="airflow")
    # beside it, a connection as a newcomer would write it
    newcomer = {"conn_type": "backbeat", "extra": {"folder": str(local_season.folder)}}
    local_season.run(
        "parts",
        *("up", str(local_season.folder), "--migrated", "--schedulers", "2"),
        *("--database", postgres.url("airflow_celery", scheme="postgresql+psycopg2")),
        *("--broker", broker),
        AIRFLOW_CONN_ADOPT_EXISTING=json.dumps(newcomer),
    )
    try:
        yield local_season
    finally:
        local_season.parts.stop()
