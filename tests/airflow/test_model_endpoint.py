"""A served model as a connection: its form's test, a sensor that waits, and a small call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from backbeat.errors import InvalidStep
from backbeat.testing import ModelServer, model_server
from backbeat_provider.hooks.model_endpoint import ModelEndpointHook
from backbeat_provider.operators import InferenceOperator
from backbeat_provider.sensors.model_ready import ModelReadySensor
from backbeat_provider.triggers.model_ready import ModelReadyTrigger

Context = Callable[..., dict[str, Any]]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A real model server."""
    with model_server() as running:
        yield running


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes the connection `churn`."""

    def make(address: str | None, **fields: Any) -> str:
        extra = json.dumps({"address": address} if address else {})
        found = {"conn_type": "backbeat_model_endpoint", "extra": extra, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_CHURN", json.dumps(found))
        return "churn"

    return make


def test_its_test_says_whether_the_model_can_answer(connect: Any, server: ModelServer) -> None:
    """A dead server, a missing address and a wrong one are sentences, not tracebacks."""
    hook = ModelEndpointHook(connect(server.address))
    assert hook.test_connection() == (True, "the model can answer")
    connect("kserve-v1+http://127.0.0.1:1/v1/models/m")
    assert hook.test_connection()[0] is False
    connect(None)
    assert "has no address" in hook.test_connection()[1]
    connect("kserve+http://127.0.0.1:1/v1/models/m")
    assert "No protocol is called" in hook.test_connection()[1]
    with pytest.raises(InvalidStep):
        hook.get_conn()


def test_a_sensor_goes_on_at_once_or_waits_in_the_triggerer(
    connect: Any, server: ModelServer, context: Context
) -> None:
    """The trigger holds the connection's name and no secret, and fires when the model is there."""
    ready = ModelReadySensor(task_id="ready", model_conn_id=connect(server.address))
    assert ready.execute(context(ready)) is None
    connect("kserve-v1+http://127.0.0.1:1/v1/models/m", password="hunter2")  # noqa: S106
    with pytest.raises(TaskDeferred) as deferred:
        ready.execute(context(ready))
    path, words = deferred.value.trigger.serialize()
    assert path.endswith("ModelReadyTrigger")
    assert "hunter2" not in json.dumps(words)
    connect(server.address)

    async def fired() -> Any:
        return await anext(ModelReadyTrigger("churn", poll_interval=0.01).run())

    event = asyncio.run(fired())
    assert event.payload == {"error": None}
    assert ready.resume({}, event.payload) is None


def test_a_refusal_fails_the_sensor_without_a_retry(connect: Any, context: Context) -> None:
    """Now, or when the trigger meets it."""
    sensor = ModelReadySensor(task_id="ready", model_conn_id=connect(None), deferrable=False)
    with pytest.raises(AirflowFailException, match="has no address"):
        sensor.poke(context(sensor))

    async def fired() -> Any:
        return await anext(ModelReadyTrigger("churn").run())

    event = asyncio.run(fired())
    with pytest.raises(AirflowFailException, match="has no address"):
        sensor.resume({}, event.payload)


def test_a_small_call_in_a_task(folder: Path, server: ModelServer, context: Context) -> None:
    """Its rows may be another task's output."""
    assert folder
    task = InferenceOperator(task_id="ask", model=server.address, rows=[{"x": 1.0}, {"x": 2.0}])
    value = task.execute(context(task))
    assert value["predictions"] == [{"score": 2.0}, {"score": 4.0}]
