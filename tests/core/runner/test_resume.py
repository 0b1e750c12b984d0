from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backbeat import Actor, Blocked, Done, Platform, Waiting, embedded, resume_step, run_step
from backbeat.errors import NotFound, Refused, UnmetNeed
from backbeat.runner import tick
from backbeat.signoff import read_request, vote
from backbeat.steps import Signoff

Make = Callable[..., Any]


def _ask(platform: Platform, attempt: Make, **fields: Any) -> str:
    asked = run_step(Signoff(subject="Ship it?", quorum=1, **fields), attempt(), platform)
    assert isinstance(asked, Waiting)
    return asked.request_id


def _vote(platform: Platform, request_id: str, choice: Any) -> None:
    seen = read_request(platform.ledger, request_id).request.evidence_digest
    ben = Actor(id="ben", method="python")
    vote(platform.ledger, request_id, choice=choice, actor=ben, evidence_digest=seen)


@pytest.mark.parametrize(("choice", "kind"), [("approve", Done), ("reject", Blocked)])
def test_a_waiting_step_continues_from_the_ledger(
    tmp_path: Path, platform: Platform, attempt: Make, choice: str, kind: type
) -> None:
    """With nothing but the request's id, another platform object finishes the step."""
    request_id = _ask(platform, attempt, about={"model": "m", "version": "3"})
    again = embedded(tmp_path / "platform", registry=False)
    assert isinstance(resume_step(request_id, again), Waiting)
    _vote(platform, request_id, choice)
    outcome = resume_step(request_id, again, run=attempt(attempt=7))
    assert isinstance(outcome, kind)
    [record] = platform.ledger.runs()
    assert record.request_id == request_id
    assert (record.state, record.identity["attempt"]) == (kind.__name__.lower(), 7)


def test_resuming_keeps_the_identity_that_asked(platform: Platform, attempt: Make) -> None:
    """Who resumes makes no other work of it: task, run and actor are those of the request."""
    request_id = _ask(platform, attempt)
    _vote(platform, request_id, "approve")
    resume_step(request_id, platform, run=attempt(run="trigger", task="trigger"))
    [record] = platform.ledger.runs()
    assert (record.identity["run"], record.identity["task"]) == ("run-1", "step")


def test_the_policy_is_asked_again_at_resume(
    platform: Platform, attempt: Make, ledger_file: Path
) -> None:
    """A step whose actor is no longer allowed does not continue."""
    request_id = _ask(platform, attempt)
    with closing(sqlite3.connect(ledger_file)) as connection:
        connection.execute(
            "UPDATE backbeat_runs SET identity = json_set(identity, '$.actor.method', 'anonymous')"
        )
        connection.commit()
    with pytest.raises(Refused, match=r"policy does not let signoff\.request/v1 start"):
        resume_step(request_id, platform)


def test_a_request_that_nobody_waits_for_is_named(platform: Platform) -> None:
    """An unknown id is NotFound, with where to look."""
    with pytest.raises(NotFound, match="no step waits for the request so-0"):
        resume_step("so-0", platform)


def test_resuming_needs_a_ledger(tmp_path: Path) -> None:
    """At rung 0 nothing waits, and the error says so."""
    with pytest.raises(UnmetNeed, match=r"resuming a step needs a ledger \(rung 1\)"):
        resume_step("so-0", embedded(tmp_path, ledger=False))


def test_tick_settles_what_is_due_and_sends_what_waits(
    tmp_path: Path, platform: Platform, attempt: Make, folder_dump: Make, ledger_file: Path
) -> None:
    """One tick records the defaults of requests past their deadline and empties the outbox."""
    request_id = _ask(platform, attempt)
    past = "2000-01-01T00:00:00.000000Z"
    with closing(sqlite3.connect(ledger_file)) as connection:
        query = "UPDATE backbeat_events SET body = json_set(body, '$.deadline', ?)"
        connection.execute(query, (past,))
        connection.execute("UPDATE backbeat_streams SET due = ?", (past,))
        connection.commit()
    waiting = platform.ledger.check()["outbox"]
    assert waiting > 0
    sending = embedded(tmp_path / "platform", registry=False)
    assert tick(sending) == {"settled": 1, "delivered": waiting}
    decision = read_request(platform.ledger, request_id).decision
    assert decision is not None
    assert (decision.choice, decision.by) == ("reject", ("system:deadline",))
    assert sending.ledger.check()["outbox"] == 0
    assert len(folder_dump(tmp_path / "platform" / "store" / "lineage")) == waiting
    assert tick(sending) == {"settled": 0, "delivered": 0}
