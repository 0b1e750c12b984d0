"""Waiting for a model in the triggerer: no worker slot, one question now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from backbeat.errors import BackbeatError

__all__ = ["ModelReadyTrigger"]


class ModelReadyTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires once a model can answer, or its server refuses to say.

    Args:
        model_conn_id: The connection; no secret is stored with the trigger.
        poll_interval: Seconds between two questions.
    """

    def __init__(self, model_conn_id: str, poll_interval: float = 10.0) -> None:
        super().__init__()
        self.model_conn_id = model_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to make this trigger again."""
        return (
            "backbeat_provider.triggers.model_ready.ModelReadyTrigger",
            {"model_conn_id": self.model_conn_id, "poll_interval": self.poll_interval},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until the model can answer; an error that no retry helps is handed back."""
        from backbeat_provider.hooks.model_endpoint import ModelEndpointHook

        try:
            async with await ModelEndpointHook(self.model_conn_id).aget_conn() as client:
                while not await client.ready():  # noqa: ASYNC110 - a server says nothing by itself
                    await asyncio.sleep(self.poll_interval)
        except BackbeatError as error:
            yield TriggerEvent({"error": str(error)})
            return
        yield TriggerEvent({"error": None})
