"""A throw-away Airflow for these tests: its home is set before anything imports Airflow."""

from __future__ import annotations

import functools
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

_HOME = tempfile.TemporaryDirectory(prefix="backbeat-airflow-")
_SETTINGS = {
    "AIRFLOW_HOME": _HOME.name,
    # 3.2's in-process API does not start without one, and says so to nobody
    "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
    # `dag.test()` looks a DAG's file up in here
    "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parents[2] / "example_dags" / "airflow"),
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
        [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": path},
            }
            for name, path in {
                "dags-folder": None,
                "semantics": str(Path(__file__).parent / "semantics" / "dags"),
            }.items()
        ]
    ),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME.name}/airflow.db",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
os.environ.update(_SETTINGS)
for _name in [name for name in os.environ if name.startswith(("BACKBEAT_", "AIRFLOW_CONN_"))]:
    del os.environ[_name]


def pytest_configure(config: pytest.Config) -> None:
    # skops looks every function up in every loaded module, Airflow's deprecated names included
    config.addinivalue_line("filterwarnings", "ignore:::skops.io._utils")


NIGHT = datetime(2013, 5, 4, tzinfo=UTC)


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's own tables, made once: `dag.test()` and the connection form need them."""
    from airflow.utils.db import initdb

    initdb()
    _wait_for_the_in_process_api()


def _wait_for_the_in_process_api() -> None:
    # Airflow before 3.3 hands its in-process API out while that is still starting in a thread, and
    # the first request of `dag.test()` may come too early
    from airflow.sdk.execution_time import supervisor

    original = supervisor.in_process_api_server

    @functools.cache
    def ready() -> Any:
        api = original()
        assert api.transport is not None  # reading it begins the start
        end = time.monotonic() + 60
        while not hasattr(api.app.state, "svcs_registry"):
            assert time.monotonic() < end, "Airflow's in-process API did not start"
            time.sleep(0.01)
        return api

    supervisor.in_process_api_server = ready


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A platform's folder, which `backbeat_default` points at."""
    connect(monkeypatch, "backbeat_default", folder=str(tmp_path / "platform"))
    return tmp_path / "platform"


def connect(monkeypatch: pytest.MonkeyPatch, name: str, **extra: Any) -> None:
    """Define a connection the way that Airflow reads it from the environment."""
    value = json.dumps({"conn_type": "backbeat", "extra": extra})
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)


@pytest.fixture
def context() -> Callable[..., dict[str, Any]]:
    """Makes the context that Airflow hands to `execute`, for one attempt of one task."""
    return make_context


def make_context(task: Any, **given: Any) -> dict[str, Any]:
    """The context of an attempt; `given` overrides what tells attempts apart."""
    from types import SimpleNamespace

    pushed: dict[str, Any] = {}

    def push(key: str, value: Any) -> None:
        pushed[key] = value

    ti = SimpleNamespace(
        dag_id=given.get("dag_id", "dag"),
        run_id=given.get("run_id", "manual__1"),
        task_id=task.task_id,
        map_index=given.get("map_index", -1),
        try_number=given.get("try_number", 1),
        max_tries=given.get("max_tries", task.retries),
        task=task,
        pushed=pushed,
        xcom_push=push,
    )
    return {
        "ti": ti,
        "task": task,
        "dag_run": SimpleNamespace(
            run_type=given.get("run_type", "scheduled"),
            triggering_user_name=given.get("user"),
        ),
        "logical_date": given.get("logical_date", NIGHT),
        "partition_key": given.get("partition_key"),
        "run_id": given.get("run_id", "manual__1"),
    }
