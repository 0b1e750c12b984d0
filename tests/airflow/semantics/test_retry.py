"""What a retry does after a crash: the same piece of work, handed out once more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat import Platform

pytestmark = pytest.mark.timeout(300)


def test_a_retry_after_a_crash_replays_what_is_on_record(
    start: Callable[..., Any], platform: Platform, tmp_path: Path
) -> None:
    """Killed after the record and before Airflow knew: performed once, and announced after all."""
    (tmp_path / "dies").write_text("note-1")
    run = start("note")
    run.schedule()
    (first,) = run.instances("scheduled")
    run.execute(first)
    assert run.states()["note"] == "up_for_retry"
    (work,) = platform.ledger.runs()
    assert work.state == "done"
    assert run.output("note") is None
    assert run.asset_events("note") == []
    assert run.play() == {"note": "success", "after": "success"}
    assert run.output("note") == {"rows": "3", "kind": "lineage.log/v1"}
    assert [event["kind"] for event in run.asset_events("note")] == ["lineage.log/v1"]
    assert run.output("after")["read"] == "3"
    assert platform.ledger.run(work.key) == work  # one attempt, and nobody has touched it


def test_a_retry_after_a_crash_finds_its_model(
    start: Callable[..., Any],
    platform: Platform,
    training: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """A training that is performed again by content calls no training function, logs no run."""
    (tmp_path / "dies").write_text("train-1")
    calls = training(slope=4)
    run = start("training")
    assert run.play() == {"train": "success"}
    (work,) = platform.ledger.runs()
    assert (work.token, work.state) == (2, "done")
    assert run.output("train")["reused"] is True
    assert calls.read_text() == "began ended "
    assert len(run.asset_events("train")) == 1
