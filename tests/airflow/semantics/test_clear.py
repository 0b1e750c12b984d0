"""What a clear does: again, with what is true now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat import Platform

pytestmark = pytest.mark.timeout(300)
Start = Callable[..., Any]
Training = Callable[..., Path]


def test_a_clear_after_fixing_the_training_code_retrains(
    start: Start, platform: Platform, training: Training
) -> None:
    """Other code is other work: the cleared task trains anew, and logs a second run."""
    calls = training(slope=1)
    run = start("training")
    assert run.play() == {"train": "success"}
    first = run.output("train")
    training(slope=2)
    run.clear("train")
    assert run.play() == {"train": "success"}
    second = run.output("train")
    assert (first["reused"], second["reused"]) == (False, False)
    assert first["run_id"] != second["run_id"]
    assert calls.read_text() == "began ended " * 2


def test_a_clear_without_a_change_finds_what_is_there(
    start: Start, platform: Platform, training: Training
) -> None:
    """The same code on the same data: performed again, found again, no second run in MLflow."""
    calls = training(slope=3)
    run = start("training")
    run.play()
    first = run.output("train")
    run.clear("train")
    assert run.play() == {"train": "success"}
    second = run.output("train")
    assert (second["run_id"], second["reused"]) == (first["run_id"], True)
    assert calls.read_text() == "began ended "
    works = platform.ledger.runs()
    assert {work.identity["run"] for work in works} == {run.run_id, f"{run.run_id}~1"}
    assert [event["digest"] for event in run.asset_events("train")] == [
        work.outcome["outputs"][0]["digest"] for work in works
    ]


def test_a_clear_after_a_rollback_does_not_claim_promoted(
    start: Start, platform: Platform, model: str
) -> None:
    """Whoever set the alias back has the last word: the cleared promotion fails and says why."""
    run = start("promotion", model=model, version="2", expected="1")
    assert run.play() == {"promote": "success"}
    assert run.output("promote")["changed"] is True
    platform.registry.set_alias(model, "champion", "1")
    run.clear("promote")
    assert run.play() == {"promote": "failed"}
    assert run.output("promote") is None
    assert platform.registry.alias(model, "champion") == "1"
    refused = platform.ledger.runs()[0]
    assert (refused.state, refused.outcome["error"]) == ("failed", "Conflict")


def test_a_clear_after_another_promotion_leaves_it_alone(
    start: Start, platform: Platform, model: str
) -> None:
    """The champion is not what the evidence saw any more: nothing is changed."""
    run = start("promotion", model=model, version="2", expected="1")
    run.play()
    platform.registry.set_alias(model, "champion", "3")
    run.clear("promote")
    assert run.play() == {"promote": "failed"}
    assert platform.registry.alias(model, "champion") == "3"


def test_a_clear_of_a_promotion_that_still_holds_changes_nothing(
    start: Start, platform: Platform, model: str
) -> None:
    """The alias is where it should be: the task succeeds and does not claim to have moved it."""
    run = start("promotion", model=model, version="2", expected="1")
    run.play()
    run.clear("promote")
    assert run.play() == {"promote": "success"}
    assert run.output("promote")["changed"] is False
