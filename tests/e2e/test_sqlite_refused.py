"""What a newcomer sees who puts backbeat's default, a file, under many workers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

DAG = "adopt_existing"
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def api(celery: Any) -> Any:
    """Airflow's public API, as its own user."""
    home = celery.parts.home
    url = celery.parts.settings("api-server")["AIRFLOW__API__BASE_URL"]
    password = json.loads((home / "passwords.json").read_text())["admin"]
    login = {"username": "admin", "password": password}
    token = requests.post(f"{url}/auth/token", json=login, timeout=60).json()["access_token"]
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"

        def call(method: str, path: str, **more: Any) -> Any:
            answer = session.request(method, f"{url}/api/v2{path}", timeout=60, **more)
            answer.raise_for_status()
            return answer.json()

        yield call


def test_a_file_under_celery_is_refused_with_the_way_out(celery: Any, api: Any) -> None:
    """The first task fails at once, is not retried, names PostgreSQL, and no file appears."""
    body = {"logical_date": "2013-05-05T00:00:00Z"}
    run = api("POST", f"/dags/{DAG}/dagRuns", json=body)["dag_run_id"]
    end = time.monotonic() + 240
    state = "queued"
    while state not in {"failed", "success"} and time.monotonic() < end:
        time.sleep(0.5)
        state = api("GET", f"/dags/{DAG}/dagRuns/{run}")["state"]
    assert state == "failed"
    task = api("GET", f"/dags/{DAG}/dagRuns/{run}/taskInstances/quality")
    assert (task["state"], task["try_number"]) == ("failed", 1)
    log = api("GET", f"/dags/{DAG}/dagRuns/{run}/taskInstances/quality/logs/1")
    said = str(log["content"])
    assert "CeleryExecutor" in said
    assert "postgresql://" in said
    assert not (celery.folder / "ledger.db").exists()
