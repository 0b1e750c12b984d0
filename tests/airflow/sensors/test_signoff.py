"""A task that waits for what another has asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from backbeat import Actor, embedded
from backbeat.signoff import read_request, vote
from backbeat_provider.operators import SignoffOperator
from backbeat_provider.sensors.signoff import SignoffSensor

Context = Callable[..., dict[str, Any]]


@pytest.fixture
def asked(folder: Path, context: Context) -> str:
    """A request of a quorum of one."""
    task = SignoffOperator(task_id="ask", subject="Go?", quorum=1, about={"model": "m"})
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context(task))
    return str(deferred.value.trigger.request_id)


def _vote(folder: Path, request_id: str, choice: Any = "approve") -> None:
    ledger = embedded(folder).ledger
    vote(
        ledger,
        request_id,
        choice=choice,
        actor=Actor(id="grace", method="python"),
        evidence_digest=read_request(ledger, request_id).request.evidence_digest,
    )


def test_it_waits_without_a_slot_and_goes_on(folder: Path, asked: str, context: Context) -> None:
    """The trigger is the one that sign-offs have, and the ledger says what was decided."""
    sensor = SignoffSensor(task_id="wait", request_id=asked)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context(sensor))
    _vote(folder, asked)

    async def fired() -> Any:
        async for event in deferred.value.trigger.run():
            return event.payload
        return None

    event = asyncio.run(fired())
    value = sensor.resume(context(sensor), event)
    assert (value["decision"], value["by"], value["model"]) == ("approved", ["grace"], "m")
    assert sensor.execute(context(sensor)) == value


def test_a_rejection_fails_the_task_for_good(folder: Path, asked: str, context: Context) -> None:
    """No retry changes what people have said."""
    _vote(folder, asked, "reject")
    sensor = SignoffSensor(task_id="wait", request_id=asked)
    with pytest.raises(AirflowFailException, match="rejected by grace"):
        sensor.execute(context(sensor))


def test_a_request_that_is_not_there_fails_the_task(folder: Path, context: Context) -> None:
    """Waiting for it would never end."""
    sensor = SignoffSensor(task_id="wait", request_id="so-nobody")
    with pytest.raises(AirflowFailException, match="so-nobody"):
        sensor.execute(context(sensor))


def test_a_resume_that_comes_too_early_is_tried_again(
    folder: Path, asked: str, context: Context
) -> None:
    """A trigger's event is no decision."""
    sensor = SignoffSensor(task_id="wait", request_id=asked)
    with pytest.raises(AirflowException, match="still open"):
        sensor.resume(context(sensor), {"request_id": asked})


def test_it_can_wait_in_its_slot(folder: Path, asked: str, context: Context) -> None:
    """As sensors do where nobody runs a triggerer."""
    _vote(folder, asked)
    sensor = SignoffSensor(
        task_id="wait", request_id=asked, deferrable=False, poke_interval=0.1, timeout=5
    )
    assert sensor.execute(context(sensor))["decision"] == "approved"
