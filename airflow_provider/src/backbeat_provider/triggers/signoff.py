"""Waiting for people in the triggerer: no worker slot, and one look at the ledger for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from uuid import UUID
from weakref import WeakKeyDictionary

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from backbeat.errors import BackbeatError

if TYPE_CHECKING:
    from backbeat.platform import Platform
    from backbeat.signoff.watcher import Watcher

__all__ = ["SignoffTrigger"]

# a connection that was changed is used by the triggers that start later
_KEPT_SECONDS = 60.0


class SignoffTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires once a sign-off request is decided, by votes or by its deadline.

    All that wait in a triggerer share one look. What was decided is not carried: the task reads the
    ledger again when it resumes.

    Args:
        request_id: The request.
        backbeat_conn_id: Where its ledger is; no secret is stored with the trigger.
        poll_interval: Longest time between two looks, in seconds; what is written to the ledger
            is noticed sooner. The task stays deferred for so long at least.
        page_of: The task instance whose page on Required Actions is looked at too, which costs a
            question to Airflow's API each time; empty with Airflow 3.3 and later, where an answer
            resumes the task by itself.
    """

    def __init__(
        self,
        request_id: str,
        backbeat_conn_id: str,
        poll_interval: float = 5.0,
        page_of: str = "",
    ) -> None:
        super().__init__()
        self.request_id = request_id
        self.backbeat_conn_id = backbeat_conn_id
        self.poll_interval = poll_interval
        self.page_of = page_of

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to make this trigger again."""
        return (
            "backbeat_provider.triggers.signoff.SignoffTrigger",
            {
                "request_id": self.request_id,
                "backbeat_conn_id": self.backbeat_conn_id,
                "poll_interval": self.poll_interval,
                "page_of": self.page_of,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until the request is decided or its page is answered, then hand its id back."""
        # where the scheduler has not heard yet that the task was deferred, it takes one that is
        # resumed for one that somebody has killed
        settled = asyncio.create_task(asyncio.sleep(self.poll_interval))
        waits = {asyncio.create_task(self._decided())}
        if self.page_of:
            waits.add(asyncio.create_task(self._answered()))
        try:
            (first, *_), _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            answer = first.result()
            await settled
        finally:
            for wait in (*waits, settled):
                wait.cancel()
        yield TriggerEvent({"request_id": self.request_id, **answer})

    async def _decided(self) -> dict[str, Any]:
        try:
            watcher = await _watcher(self.backbeat_conn_id, self.poll_interval)
            await watcher.decided(self.request_id)
        except BackbeatError as error:
            # the task meets the same error when it resumes, and reports it
            self.log.warning("the task goes on, to report this: %s", error)
        return {}

    async def _answered(self) -> dict[str, Any]:
        """What Airflow 3.3 hands to a task by itself."""
        from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail

        while True:
            found = await sync_to_async(get_hitl_detail_content_detail)(ti_id=UUID(self.page_of))
            user = found.responded_by_user
            if found.response_received and user is not None:
                return {
                    "chosen_options": list(found.chosen_options or ()),
                    "params_input": found.params_input or {},
                    "responded_by_user": {"id": user.id, "name": user.name},
                }
            await asyncio.sleep(self.poll_interval)


async def _watcher(backbeat_conn_id: str, poll_seconds: float) -> Watcher:
    """The one that all triggers of a platform share."""
    from backbeat.signoff.watcher import Watcher

    shared = _SHARED.setdefault(asyncio.get_running_loop(), _Shared())
    platform = await shared.platform(backbeat_conn_id)
    # the platform is kept by the hook, so its id is not another's later
    return shared.watchers.setdefault(
        (id(platform), poll_seconds), Watcher(lambda: platform.ledger, poll_seconds=poll_seconds)
    )


class _Shared:
    """What the triggers of one event loop have in common."""

    def __init__(self) -> None:
        self.watchers: dict[tuple[int, float], Watcher] = {}
        self._asked: dict[str, tuple[float, asyncio.Task[Platform]]] = {}

    async def platform(self, backbeat_conn_id: str) -> Platform:
        """A connection's platform; a triggerer that starts asks once for all its triggers."""
        from backbeat_provider.hooks.backbeat import BackbeatHook

        loop = asyncio.get_running_loop()
        since, task = self._asked.get(backbeat_conn_id, (0.0, None))
        if task is None or loop.time() - since > _KEPT_SECONDS or _failed(task):
            task = loop.create_task(BackbeatHook(backbeat_conn_id).aget_platform())
            self._asked[backbeat_conn_id] = (loop.time(), task)
        return await asyncio.shield(task)


def _failed(task: asyncio.Task[Platform]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


_SHARED: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()
