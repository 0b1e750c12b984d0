"""A sign-off that is cleared: a new question, and no answer to another one counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat import Platform
from backbeat.errors import Refused
from backbeat.signoff import requests

pytestmark = pytest.mark.timeout(300)
Start = Callable[..., Any]
Approve = Callable[[str], None]


def test_a_clear_of_a_waiting_signoff_asks_anew(
    start: Start, platform: Platform, model: str, approve: Approve
) -> None:
    """The question that nobody waits for any more is withdrawn; the new one opens the way."""
    run = start("signed_promotion", model=model, version="2", expected="1")
    run.play()
    (first,) = _ids(platform, "open")
    run.clear("signoff")
    assert run.play()["signoff"] == "deferred"
    (second,) = _ids(platform, "open")
    assert second != first
    with pytest.raises(Refused, match="system:withdrawn"):
        approve(first)
    approve(second)
    run.fire_triggers()
    assert run.play()["promote"] == "success"
    assert run.output("signoff")["request_id"] == second
    assert platform.registry.alias(model, "champion") == "2"


def test_an_approval_does_not_outlive_its_evidence(
    start: Start, platform: Platform, model: str, approve: Approve, tmp_path: Path
) -> None:
    """Approved, then measured anew: the cleared sign-off asks about the new figure."""
    run = start("signed_promotion", model=model, version="2", expected="1")
    run.play()
    (first,) = _ids(platform, "open")
    approve(first)
    (tmp_path / "figure").write_text("0.58")
    run.clear("measure", "signoff")
    states = run.play()
    assert (states["signoff"], states["promote"]) == ("deferred", "None")
    (asked,) = requests(platform.ledger, state="open")
    assert asked.request.evidence == {"auc": "0.58"}
    assert _ids(platform, "approved") == [first]
    assert platform.registry.alias(model, "champion") == "1"


def test_an_approval_of_another_version_promotes_nothing(
    start: Start, platform: Platform, model: str, approve: Approve
) -> None:
    """A request named by hand must have been about the very version."""
    old = start("signed_promotion", model=model, version="3", expected="1")
    old.play()
    (first,) = _ids(platform, "open")
    approve(first)
    run = start("signed_promotion", model=model, version="2", expected="1", signed=first)
    run.play()
    run.mark_success("signoff")
    assert run.play()["promote"] == "failed"
    assert platform.registry.alias(model, "champion") == "1"


def _ids(platform: Platform, state: str) -> list[str]:
    return [found.request.request_id for found in requests(platform.ledger, state=state)]
