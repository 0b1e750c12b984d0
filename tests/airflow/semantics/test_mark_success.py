"""A task that a person marks success: Airflow goes on, and the ledger claims nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backbeat import Platform
from backbeat.signoff import requests

pytestmark = pytest.mark.timeout(300)
Start = Callable[..., Any]


def test_a_marked_task_is_not_on_record_and_a_clear_performs_it(
    start: Start, platform: Platform
) -> None:
    """What follows runs without its output; nothing says that it was done until it is."""
    run = start("note")
    run.schedule()
    run.mark_success("note")
    assert run.play() == {"note": "success", "after": "success"}
    assert run.output("after")["read"] == "None"
    assert [work.identity["task"] for work in platform.ledger.runs()] == ["after"]
    run.clear("note", "after")
    assert run.play() == {"note": "success", "after": "success"}
    assert run.output("after")["read"] == "3"
    assert {work.state for work in platform.ledger.runs()} == {"done"}


def test_a_signoff_marked_success_lets_no_promotion_through(
    start: Start, platform: Platform, model: str
) -> None:
    """The task is green and nobody has approved: the promotion finds no request, and refuses."""
    run = start("signed_promotion", model=model, version="2", expected="1")
    assert run.play()["signoff"] == "deferred"
    run.mark_success("signoff")
    states = run.play()
    assert (states["signoff"], states["promote"]) == ("success", "failed")
    assert platform.registry.alias(model, "champion") == "1"
    (state,) = requests(platform.ledger)
    assert state.name == "open"


def test_an_open_request_by_name_lets_no_promotion_through(
    start: Start, platform: Platform, model: str
) -> None:
    """Naming the request does not help: the ledger says that it is open, and so it is refused."""
    waiting = start("signed_promotion", model=model, version="2", expected="1")
    waiting.play()
    (state,) = requests(platform.ledger)
    named = start(
        "signed_promotion",
        model=model,
        version="2",
        expected="1",
        signed=state.request.request_id,
    )
    named.play()
    named.mark_success("signoff")
    assert named.play()["promote"] == "failed"
    assert platform.registry.alias(model, "champion") == "1"
    (refused,) = platform.ledger.runs(state="denied")
    assert "is open, not approved" in refused.outcome["message"]
