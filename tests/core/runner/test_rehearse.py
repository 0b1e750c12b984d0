from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat import Done, Platform, run_step
from backbeat.errors import NotFound
from backbeat.ports import Need
from backbeat.runner.rehearse import rehearse
from backbeat.step import Replay

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("replay", "would"), [(Replay.RECORDED, "replay"), (Replay.VERIFY, "perform")]
)
def test_a_rehearsal_says_what_a_run_would_do(
    *,
    platform: Platform,
    attempt: Make,
    step_of: Make,
    ledger_file: Path,
    ledger_dump: Make,
    replay: Replay,
    would: str,
) -> None:
    """Before the run it would perform, after it it would replay where the step says so."""
    step = step_of(lambda ctx: Done(), replay=replay, resolve=lambda ctx: {"model": "models:/m/1"})
    before = rehearse(step, attempt(), platform)
    assert (before.would, before.state) == ("perform", None)
    assert before.inputs == {"model": "models:/m/1"}
    run_step(step, attempt(), platform)
    recorded = ledger_dump(ledger_file)
    after = rehearse(step, attempt(attempt=2), platform)
    assert (after.would, after.state) == (would, "done")
    assert after.key == before.key == platform.ledger.runs()[0].key
    assert ledger_dump(ledger_file) == recorded


def test_a_rehearsal_says_what_policy_would_refuse(
    platform: Platform, attempt: Make, step_of: Make, ledger_file: Path
) -> None:
    """A refusal is foretold with its reason, and not recorded."""
    nobody = attempt(actor={"id": "?", "method": "anonymous"})
    found = rehearse(step_of(lambda ctx: Done()), nobody, platform)
    assert found.would == "refuse"
    assert "anonymous" in found.policy.reason
    assert platform.ledger.check()["audit_entries"] == 0


def test_a_rehearsal_fails_where_the_run_would(
    platform: Platform, attempt: Make, step_of: Make
) -> None:
    """An input that cannot be resolved is the same error, and nothing is recorded."""

    def resolve(ctx: Any) -> dict[str, str]:
        return {"bytes": str(ctx.store.read("absent"))}

    step = step_of(lambda ctx: Done(), resolve=resolve, needs=frozenset({Need.STORE}))
    with pytest.raises(NotFound):
        rehearse(step, attempt(), platform)
    assert platform.ledger.runs() == []
