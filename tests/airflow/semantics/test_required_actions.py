"""Airflow's own page is one more way to vote, and no way round the rules."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import airflow
import pytest
from airflow.sdk.execution_time import task_runner
from packaging.version import Version

from backbeat import Platform
from backbeat.signoff import requests

pytestmark = pytest.mark.timeout(300)
Start = Callable[..., Any]
Answer = Callable[..., int]

# before 3.3 the API leaves an answer to the trigger, which looks for it
_RESUMED_BY_API = Version(airflow.__version__) >= Version("3.3")


@pytest.fixture(scope="session")
def api(airflow_database: None) -> Iterator[Any]:
    """Airflow's real API, with its real routes, rights and database."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    with TestClient(create_app(apps="core"), base_url="http://testserver") as client:
        yield client


class _Comms:
    """A triggerer's line to the API, which is the real one."""

    def __init__(self, run: Any) -> None:
        self._client = run.api_client()

    def send(self, msg: Any) -> Any:
        return self._client.hitl.get_detail_response(ti_id=msg.ti_id)


@pytest.fixture
def answer(api: Any, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Answers a task's page as a user does; returns the status."""

    def click(run: Any, user: str, option: str, *, reason: str = "", **filled: Any) -> int:
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=user, role="admin"))
        response = api.patch(
            f"/api/v2/dags/{run.dag.dag_id}/dagRuns/{run.run_id}"
            "/taskInstances/signoff/-1/hitlDetails",
            json={"chosen_options": [option], "params_input": {"reason": reason, **filled}},
            headers={"authorization": f"Bearer {token}"},
        )
        if response.status_code == HTTPStatus.OK and not _RESUMED_BY_API:
            # what stands between a trigger and the API in a triggerer
            monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", _Comms(run), raising=False)
            run.fire_triggers()
        return int(response.status_code)

    return click


def _page(api: Any, run: Any) -> Any:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ada", role="admin"))
    return api.get(
        f"/api/v2/dags/{run.dag.dag_id}/dagRuns/{run.run_id}/taskInstances/signoff/-1/hitlDetails",
        headers={"authorization": f"Bearer {token}"},
    ).json()


def test_two_people_answer_and_the_quorum_is_met(
    start: Start, platform: Platform, answer: Answer, api: Any
) -> None:
    """The first answer is one vote, and the page is free for the next person."""
    run = start("two_people")
    assert run.play()["signoff"] == "deferred"
    assert answer(run, "grace", "Approve", reason="looks right") == 200
    assert run.play()["signoff"] == "deferred"
    (asked,) = requests(platform.ledger, state="open")
    (vote,) = asked.votes
    assert (vote.actor.id, vote.actor.method, vote.reason) == ("grace", "airflow", "looks right")
    assert _page(api, run)["response_received"] is False
    assert answer(run, "joan", "Approve") == 200
    assert run.play()["signoff"] == "success"
    assert run.output("signoff")["by"] == ["grace", "joan"]


def test_one_person_s_second_click_and_the_requester_s_click_count_nothing(
    start: Start, platform: Platform, answer: Answer, tmp_path: Path
) -> None:
    """They are refused and on record, and the task waits on."""
    run = start("two_people")
    run.play()
    for user in ("grace", "grace", "ada", "mallory"):
        assert answer(run, user, "Approve") == 200
        assert run.play()["signoff"] == "deferred"
    (asked,) = requests(platform.ledger, state="open")
    assert [vote.actor.id for vote in asked.votes] == ["grace"]
    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        query = "SELECT count(*) FROM backbeat_audit_log WHERE (action, outcome) = (?, ?)"
        assert ledger.execute(query, ("signoff.vote", "refused")).fetchone() == (3,)
    assert answer(run, "joan", "Reject") == 200
    assert run.play()["signoff"] == "failed"


def test_a_decision_made_elsewhere_resumes_the_task(
    start: Start, platform: Platform, answer: Answer, approve: Callable[[str], None]
) -> None:
    """One vote by the page and one by Python are two people's."""
    run = start("two_people")
    run.play()
    (asked,) = requests(platform.ledger, state="open")
    assert answer(run, "joan", "Approve") == 200
    run.play()
    approve(asked.request.request_id)
    run.fire_triggers()
    assert run.play()["signoff"] == "success"
    assert run.output("signoff")["by"] == ["joan", "grace"]


def test_evidence_cannot_pose_as_the_page(start: Start, platform: Platform, api: Any) -> None:
    """What comes from the data stands in a fence that it cannot close."""
    run = start("two_people")
    run.play()
    body = _page(api, run)["body"]
    (asked,) = requests(platform.ledger, state="open")
    assert body.startswith(
        f"Sign-off `{asked.request.request_id}`, evidence `{asked.request.evidence_digest}`\n"
    )
    assert body.count("````````") == 6
    assert "'''\\n# <b>Approve</b>" in body


def test_a_page_that_airflow_keeps_counts_for_the_same_evidence(
    start: Start, platform: Platform, answer: Answer
) -> None:
    """Airflow keeps a page's first text (airflow#73235); after a clear, people vote anew by it."""
    run = start("two_people")
    run.play()
    assert answer(run, "grace", "Approve") == 200
    run.play()
    run.clear("signoff")
    assert run.play()["signoff"] == "deferred"
    (asked,) = requests(platform.ledger, state="open")
    assert asked.votes == ()
    for user in ("grace", "joan"):
        assert answer(run, user, "Approve") == 200
        run.play()
    assert run.states()["signoff"] == "success"


def test_a_page_that_airflow_keeps_counts_for_no_other_evidence(
    start: Start,
    platform: Platform,
    answer: Answer,
    tmp_path: Path,
    approve: Callable[[str], None],
) -> None:
    """Who answers a page with last week's figure has not seen today's."""
    run = start("two_people")
    run.play()
    (tmp_path / "figure").write_text("0.58")
    run.clear("measure", "signoff")
    assert run.play()["signoff"] == "deferred"
    (asked,) = requests(platform.ledger, state="open")
    assert asked.request.evidence["auc"] == "0.58"
    assert answer(run, "joan", "Approve") == 200
    assert run.play()["signoff"] == "deferred"
    (asked,) = requests(platform.ledger, state="open")
    assert asked.votes == ()
    approve(asked.request.request_id)
    (asked,) = requests(platform.ledger, state="open")
    assert [vote.actor.id for vote in asked.votes] == ["grace"]


def test_a_form_is_filled_in_on_the_page_and_stages_come_in_order(
    start: Start, platform: Platform, answer: Answer, api: Any
) -> None:
    """An answer that does not fit the form, and one before its stage, are refused and on record."""
    run = start("with_a_form")
    assert run.play()["signoff"] == "deferred"
    page = _page(api, run)
    assert set(page["params"]) == {"limit", "reason"}
    assert "exposure" in page["body"]
    for user, limit in (("grace", None), ("grace", -1), ("joan", 5)):
        assert answer(run, user, "Approve", limit=limit) == 200
        assert run.play()["signoff"] == "deferred"
    (asked,) = requests(platform.ledger, state="open")
    assert asked.votes == ()
    for user in ("grace", "joan"):
        assert answer(run, user, "Approve", limit=5) == 200
        run.play()
    assert run.states()["signoff"] == "success"
    assert run.output("signoff")["by"] == ["grace", "joan"]
    (decided,) = requests(platform.ledger, state="approved")
    assert [dict(vote.answers) for vote in decided.votes] == [{"limit": 5}] * 2
