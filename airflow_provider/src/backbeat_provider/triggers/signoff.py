"""Waiting for people in the triggerer: no worker slot, one look at the ledger now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from backbeat.errors import BackbeatError

__all__ = ["SignoffTrigger"]


class SignoffTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires once a sign-off request is decided, by votes or by its deadline.

    What was decided is not carried: the task reads the ledger again when it resumes.

    Args:
        request_id: The request.
        backbeat_conn_id: Where its ledger is; no secret is stored with the trigger.
        poll_interval: Seconds between two looks.
    """

    def __init__(self, request_id: str, backbeat_conn_id: str, poll_interval: float = 5.0) -> None:
        super().__init__()
        self.request_id = request_id
        self.backbeat_conn_id = backbeat_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to make this trigger again."""
        return (
            "backbeat_provider.triggers.signoff.SignoffTrigger",
            {
                "request_id": self.request_id,
                "backbeat_conn_id": self.backbeat_conn_id,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the request is decided, then hand its id back."""
        from backbeat.signoff import read_request
        from backbeat_provider.hooks.backbeat import BackbeatHook

        platform = await BackbeatHook(self.backbeat_conn_id).aget_platform()
        while True:
            try:
                state = await asyncio.to_thread(
                    # the ledger is opened by its first use: not in the event loop either
                    lambda: read_request(platform.ledger, self.request_id)
                )
                if state.decision is not None:
                    break
            except BackbeatError as error:
                if not error.retryable:
                    break  # the task meets the same error when it resumes, and reports it
                self.log.warning("looking again in %s s: %s", self.poll_interval, error)
            await asyncio.sleep(self.poll_interval)
        yield TriggerEvent({"request_id": self.request_id})
