"""Waiting for people without a worker slot, and going on from the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from backbeat import Actor, embedded
from backbeat.signoff import read_request, vote
from backbeat_provider.operators import LogLineageOperator, SignoffOperator
from backbeat_provider.triggers.signoff import SignoffTrigger

Context = Callable[..., dict[str, Any]]


def _ask(task: SignoffOperator, context: dict[str, Any]) -> SignoffTrigger:
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    assert deferred.value.method_name == "resume"
    assert not deferred.value.kwargs
    trigger: SignoffTrigger = deferred.value.trigger
    return trigger


def _vote(folder: Path, request_id: str, *people: str, choice: Any = "approve") -> None:
    ledger = embedded(folder).ledger
    seen = read_request(ledger, request_id).request.evidence_digest
    for person in people:
        vote(
            ledger,
            request_id,
            choice=choice,
            actor=Actor(id=person, method="python"),
            evidence_digest=seen,
        )


async def _next(trigger: SignoffTrigger) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


def test_it_defers_and_carries_only_the_request(folder: Path, context: Context) -> None:
    """No slot is held, and neither evidence nor a secret is stored with the trigger."""
    task = SignoffOperator(task_id="signoff", subject="Go?", evidence={"secret": "x"})
    trigger = _ask(task, context(task))
    path, kwargs = trigger.serialize()
    assert path == "backbeat_provider.triggers.signoff.SignoffTrigger"
    assert set(kwargs) == {"request_id", "backbeat_conn_id", "poll_interval", "page_of"}
    assert kwargs["request_id"].startswith("so-")
    assert SignoffTrigger(**kwargs).serialize() == (path, kwargs)


def test_the_trigger_fires_once_people_have_decided(folder: Path, context: Context) -> None:
    """The event says which request, not what was decided: the ledger says that."""
    task = SignoffOperator(task_id="signoff", subject="Go?")
    trigger = _ask(task, context(task))

    async def decided_meanwhile() -> Any:
        waiting = asyncio.create_task(
            _next(SignoffTrigger(trigger.request_id, "backbeat_default", 0.01))
        )
        await asyncio.to_thread(_vote, folder, trigger.request_id, "ada")
        assert not waiting.done()
        await asyncio.to_thread(_vote, folder, trigger.request_id, "grace")
        return await waiting

    assert asyncio.run(decided_meanwhile()) == {"request_id": trigger.request_id}


def test_the_trigger_settles_a_deadline(folder: Path, context: Context) -> None:
    """Nobody else has to look: past the deadline the default is recorded by the trigger itself."""
    task = SignoffOperator(task_id="signoff", subject="Go?", deadline=timedelta(seconds=2))
    request_id = _ask(task, context(task)).request_id
    trigger = SignoffTrigger(request_id, "backbeat_default", 0.01)
    assert asyncio.run(_next(trigger)) == {"request_id": request_id}
    with pytest.raises(AirflowFailException, match="rejected by system:deadline"):
        task.resume(context(task), {"request_id": request_id})


def test_the_trigger_hands_an_unknown_request_to_the_task(folder: Path, context: Context) -> None:
    """A request that is gone fails the task with a sentence instead of waiting for ever."""
    trigger = SignoffTrigger("so-none", "backbeat_default", 0.01)
    assert asyncio.run(_next(trigger)) == {"request_id": "so-none"}
    task = SignoffOperator(task_id="signoff", subject="Go?")
    with pytest.raises(AirflowFailException, match="no step waits for the request so-none"):
        task.resume(context(task), {"request_id": "so-none"})


def test_an_approval_goes_on_with_what_was_asked(folder: Path, context: Context) -> None:
    """Templates are rendered anew on a resume; what counts is the step as it asked."""
    task = SignoffOperator(task_id="signoff", subject="Promote 3", about={"version": "3"})
    request_id = _ask(task, context(task)).request_id
    _vote(folder, request_id, "ada", "grace")
    task.subject, task.about = "Promote 4", {"version": "4"}
    value = task.resume(context(task), {"request_id": request_id})
    assert value["decision"] == "approved"
    assert value["by"] == ["ada", "grace"]
    assert value["version"] == "3"
    assert value["kind"] == "signoff.request/v1"


def test_a_rejection_fails_without_a_retry(folder: Path, context: Context) -> None:
    """People's no is an answer: the task fails, and no retry asks them again."""
    task = SignoffOperator(task_id="signoff", subject="Promote 3")
    request_id = _ask(task, context(task)).request_id
    _vote(folder, request_id, "ada", choice="reject")
    with pytest.raises(AirflowFailException, match="Promote 3: rejected by ada"):
        task.resume(context(task), {"request_id": request_id})


def test_an_event_without_a_decision_waits_again(folder: Path, context: Context) -> None:
    """Whatever wakes the task up, the quorum is what the ledger says."""
    task = SignoffOperator(task_id="signoff", subject="Promote 3")
    request_id = _ask(task, context(task)).request_id
    _vote(folder, request_id, "ada")
    with pytest.raises(TaskDeferred):
        task.resume(context(task), {"request_id": request_id})


def test_a_retry_asks_the_same_and_a_clear_asks_anew(folder: Path, context: Context) -> None:
    """Votes survive a retry; a person's clear is a new question."""
    task = SignoffOperator(task_id="signoff", subject="Promote 3", retries=1)
    first = _ask(task, context(task)).request_id
    assert _ask(task, context(task, try_number=2)).request_id == first
    assert _ask(task, context(task, try_number=2, max_tries=2)).request_id != first


def test_the_one_who_triggered_cannot_sign(folder: Path, context: Context) -> None:
    """Four eyes: the user behind a manual run is the requester."""
    from backbeat.errors import Refused

    task = SignoffOperator(task_id="signoff", subject="Promote 3")
    request_id = _ask(task, context(task, run_type="manual", user="ada")).request_id
    with pytest.raises(Refused, match="ada made the request"):
        _vote(folder, request_id, "ada")


def test_another_steps_output_is_shown_without_the_adapters_key(
    folder: Path, context: Context
) -> None:
    """Evidence is the step's value exactly, the same bytes that another orchestrator would show."""
    found = LogLineageOperator(task_id="compare", facts={"verdict": "better"})
    value = found.execute(context(found))
    task = SignoffOperator(task_id="signoff", subject="Promote 3", evidence=value)
    request_id = _ask(task, context(task)).request_id
    request = read_request(embedded(folder).ledger, request_id).request
    assert request.evidence == {"verdict": "better"}
