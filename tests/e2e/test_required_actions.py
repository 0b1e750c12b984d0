"""Two people sign by Airflow's own page, in a real browser, around everything that is real."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

DAG = "two_person_signoff"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def passwords(celery: Any) -> dict[str, str]:
    """What Airflow made up for each of the people."""
    found: dict[str, str] = json.loads((celery.parts.home / "passwords.json").read_text())
    return found


@pytest.fixture
def url(celery: Any) -> str:
    """Where Airflow is."""
    return str(celery.parts.settings("api-server")["AIRFLOW__API__BASE_URL"])


@pytest.fixture
def browser() -> Iterator[Any]:
    """Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        pytest.skip("apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


def test_a_quorum_by_the_page_and_the_requester_s_click_is_none(
    celery: Any, url: str, passwords: dict[str, str], browser: Any
) -> None:
    """Ada asks and clicks in vain; Grace's click is one vote, and with Mary's the task goes on."""
    ada = _signed_in(url, "ada", passwords)
    run = ada("POST", f"/dags/{DAG}/dagRuns", json={"logical_date": None})["dag_run_id"]
    task = f"/dags/{DAG}/dagRuns/{run}/taskInstances/signoff"

    def try_is(state: str, events: int) -> bool:
        audited = celery.platform().ledger.check()["audit_entries"]
        return bool(ada("GET", task)["state"] == state and audited >= events)

    _until(lambda: try_is("deferred", 0))
    for user, state in (("ada", "deferred"), ("grace", "deferred"), ("mary", "success")):
        before = celery.platform().ledger.check()["audit_entries"]
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(f"{url}/auth/login")
            page.fill("input[name=username]", user)
            page.fill("input[name=password]", passwords[user])
            page.click("button[type=submit]")
            page.wait_for_url(lambda address: "/auth/login" not in address)
            page.goto(f"{url}/dags/{DAG}/runs/{run}/tasks/signoff/required_actions")
            page.get_by_text("Sign-off").first.wait_for()
            page.get_by_role("button", name="Approve").click()
            _until(lambda state=state, events=before + 1: try_is(state, events))
    output = ada("GET", f"{task}/xcomEntries/by?deserialize=true")["value"]
    assert output == ["grace", "mary"]


def _signed_in(url: str, user: str, passwords: dict[str, str]) -> Callable[..., Any]:
    login = {"username": user, "password": passwords[user]}
    token = requests.post(f"{url}/auth/token", json=login, timeout=60).json()["access_token"]

    def call(method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.request(
            method, f"{url}/api/v2{path}", headers=headers, timeout=60, **more
        )
        answer.raise_for_status()
        return answer.json()

    return call


def _until(holds: Callable[[], bool], *, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.5)
