"""Starting and stopping Airflow's parts: what they listen on, and whom a stop may touch."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from flights.processes import Parts


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = Path(__file__).parents[3] / "example_dags" / "airflow" / "parts.py"
    spec = importlib.util.spec_from_file_location("parts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "parts", module)
    spec.loader.exec_module(module)
    return module


def test_nothing_listens_beyond_this_machine(parts: ModuleType, tmp_path: Path) -> None:
    """The API answers on the loopback address; the servers for logs are not started at all."""
    settings = parts.environment(tmp_path, 1234)
    hosts = {value for name, value in settings.items() if name.endswith("_HOST")}
    assert settings["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert "0.0.0.0" not in hosts  # noqa: S104 - that is the point
    commands = parts.Setup(broker="redis+socket:///nowhere", schedulers=2).commands()
    for name, command in commands.items():
        if name not in {"api-server", "dag-processor"}:
            assert "--skip-serve-logs" in command, name
    assert settings["AIRFLOW__API_AUTH__JWT_SECRET"] != parts.environment(tmp_path, 1234).get(
        "AIRFLOW__API_AUTH__JWT_SECRET"
    )


def test_a_setup_says_what_runs(parts: ModuleType, tmp_path: Path) -> None:
    """The demo has four parts and a LocalExecutor; a broker brings two workers with two names."""
    assert set(parts.Setup().commands()) == {
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
    }
    assert parts.environment(tmp_path, 1)["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    setup = parts.Setup(broker="redis+socket:///nowhere", schedulers=2)
    added = {name: c for name, c in setup.commands().items() if name not in parts.PARTS}
    assert set(added) == {"scheduler-2", "worker-1", "worker-2"}
    assert added["scheduler-2"] == parts.PARTS["scheduler"]
    assert added["worker-1"] != added["worker-2"]
    settings = parts.environment(tmp_path, 1, setup)
    assert settings["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert settings["AIRFLOW__CELERY__BROKER_URL"] == "redis+socket:///nowhere"


def test_the_connection_says_where_the_platform_is(parts: ModuleType, tmp_path: Path) -> None:
    """Services that are named reach `backbeat_default`; rung 0 keeps the store and nothing else."""
    services = {"ledger": "postgresql://db/ledger", "store": "s3://bucket"}
    settings = parts.environment(tmp_path, 1, parts.Setup(platform=services))
    default = json.loads(settings["AIRFLOW_CONN_BACKBEAT_DEFAULT"])["extra"]
    assert default == {"folder": str(tmp_path), **services}
    without = json.loads(settings["AIRFLOW_CONN_DRIFT_ONLY"])["extra"]
    assert without["store"] == "s3://bucket"
    assert {without["ledger"], without["tracking_uri"]} == {"none"}


def test_a_stop_ends_what_runs_in_the_folder(parts: ModuleType, tmp_path: Path) -> None:
    """Parts that another process started are stopped by their folder alone."""
    recorded = Parts(tmp_path / "home")
    recorded.start("scheduler", [sys.executable, "-c", "import time; time.sleep(600)"])
    assert parts.stop(tmp_path) == ["scheduler"]
    assert recorded.alive() == {}
    assert parts.stop(tmp_path) == []


def test_what_runs_already_is_used_and_left_running(parts: ModuleType, tmp_path: Path) -> None:
    """A player that finds an Airflow in its folder plays on it, and does not stop it."""
    recorded = Parts(tmp_path / "home")
    settings = parts.environment(tmp_path, 4711)
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    pid = recorded.start("api-server", sleeper, settings)
    try:
        assert parts.prepare(tmp_path) is None
        with parts.running(tmp_path) as airflow:
            assert airflow.url == "http://127.0.0.1:4711"
        assert recorded.alive() == {"api-server": pid}
    finally:
        recorded.stop()
