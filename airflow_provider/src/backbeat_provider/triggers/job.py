"""Waiting for remote jobs without a worker slot; a task that is killed meanwhile cancels them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from backbeat.errors import BackbeatError

__all__ = ["JobTrigger"]

_FIRST_PAUSE = 1.0
_ASKED_SECONDS = 5.0


class JobTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires once all jobs have ended, however they have.

    What became of them is not carried: the task asks their servers again when it goes on. What it
    was about is: templates are rendered anew by then, and without a ledger nobody else remembers.

    Args:
        jobs: The jobs, each as the JSON of `backbeat.step.Job`; no secret is stored here.
        step: The JSON of the step that waits.
        waited_for: Ids of all jobs that this attempt has waited for, these included.
        backbeat_conn_id: The platform, in whose store it is noted where the jobs are cancelled.
        poll_interval: Largest window between two looks.
    """

    def __init__(
        self,
        jobs: list[dict[str, str]],
        step: dict[str, Any],
        waited_for: list[str],
        backbeat_conn_id: str,
        poll_interval: float = 60.0,
    ) -> None:
        super().__init__()
        self.jobs = jobs
        self.step = step
        self.waited_for = waited_for
        self.backbeat_conn_id = backbeat_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to make this trigger again."""
        return (
            "backbeat_provider.triggers.job.JobTrigger",
            {
                "jobs": self.jobs,
                "step": self.step,
                "waited_for": self.waited_for,
                "backbeat_conn_id": self.backbeat_conn_id,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until all jobs have ended."""
        try:
            await self._wait()
        except asyncio.CancelledError as error:
            if await self._was_killed(error):
                await self.on_kill()
            raise
        yield TriggerEvent({"step": self.step, "waited_for": self.waited_for})

    async def on_kill(self) -> None:
        """Cancel the jobs: a person has cleared the task, or marked it failed or successful."""
        from backbeat.inference.jobs.watching import cancel_jobs
        from backbeat.step import Job
        from backbeat_provider.hooks.backbeat import BackbeatHook

        self.log.info("the task was killed: its remote jobs are cancelled")
        platform = await BackbeatHook(self.backbeat_conn_id).aget_platform()
        store = await asyncio.to_thread(lambda: platform.store)
        jobs = [Job.model_validate(job) for job in self.jobs]
        await cancel_jobs(jobs, await self._secrets(), store)

    async def _wait(self) -> None:
        from backbeat.inference.jobs.watching import statuses
        from backbeat.retries import seconds_to_wait
        from backbeat.step import Job

        jobs = [Job.model_validate(job) for job in self.jobs]
        for look in count(1):
            patience = None
            try:
                found = await statuses(jobs, await self._secrets())
                jobs = [job for job in jobs if not found[job.id].state.ended]
                if not jobs:
                    return
            except BackbeatError as error:
                if not error.retryable:
                    return  # the task meets the same error when it goes on, and reports it
                patience = error.retry_after
                self.log.warning("looking again: %s", error)
            await asyncio.sleep(
                seconds_to_wait(
                    look, base=_FIRST_PAUSE, cap=self.poll_interval, retry_after=patience
                )
            )

    async def _secrets(self) -> dict[str, Mapping[str, str]]:
        names = {job["credentials"] for job in self.jobs if job.get("credentials")}
        return {name: await _credentials(name) for name in names}

    async def _was_killed(self, error: asyncio.CancelledError) -> bool:
        """Whether a person has ended the wait, where Airflow does not call `on_kill` (till 3.2).

        A triggerer that stops cancels its triggers just so, but their tasks stay deferred.
        """
        if hasattr(BaseTrigger, "on_kill") or error.args or self.task_instance is None:
            return False
        try:
            async with asyncio.timeout(_ASKED_SECONDS):
                state = await _state_of(self.task_instance)
        except Exception as unknown:  # noqa: BLE001 - a job too many is better than one killed
            self.log.warning("whether the task was killed is not known: %s", unknown)
            return False
        return state != "deferred"


async def _state_of(ti: Any) -> str:
    """The state of a task instance now, as the triggerer's supervisor knows it."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetTaskStates

    asked = GetTaskStates(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    told = await task_runner.SUPERVISOR_COMMS.asend(asked)
    states = told.task_states[ti.run_id]
    # a mapped task's name has its index behind it
    return str(next(iter(states.values()))) if states else "removed"


async def _credentials(name: str) -> Mapping[str, str]:
    from backbeat.wiring.credentials import credentials_from_environment
    from backbeat_provider.hooks.model_endpoint import secrets_of

    try:
        return secrets_of(await BaseHook.aget_connection(name))
    except AirflowNotFoundException:
        return credentials_from_environment(name)
