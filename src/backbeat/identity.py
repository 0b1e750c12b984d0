"""Who runs what: the workflow run as its orchestrator knows it, and the actor behind it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Actor", "RunIdentity"]

Method = Literal[
    "airflow", "dagster", "cli", "python", "system", "token", "oidc", "slack", "anonymous"
]


class Actor(BaseModel):
    """A person or a service, and how backbeat came to believe it.

    A vote by `cli` or `python` is a claim of the operating-system user, not an authentication.

    Args:
        id: The name that the method vouches for, such as an Airflow user or `system:deadline`.
        method: The door it came through.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=256)
    method: Method


class RunIdentity(BaseModel):
    """One task attempt of one workflow run, in words that both orchestrators share.

    Args:
        orchestrator: `airflow`, `dagster` or `none` (a plain script).
        workflow: DAG id or job name.
        run: The workflow run. A retry keeps it; a clear or re-execution by a person changes it.
        task: Task id or asset key.
        map_index: Which of a mapped task's copies, -1 where the task is not mapped.
        partition: Partition key, where the run has one.
        attempt: 1 for the first try.
        logical_time: The scheduled moment; asset-triggered runs have none.
        traceparent: W3C trace context of the orchestrator's span, where it traces.
        actor: Who or what started the run.
        backfill: True where the run re-plays the past; promotions refuse it unless asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    orchestrator: Literal["airflow", "dagster", "none"] = "none"
    workflow: str
    run: str
    task: str
    map_index: int = -1
    partition: str | None = None
    attempt: int = 1
    logical_time: datetime | None = None
    traceparent: str | None = None
    actor: Actor
    backfill: bool = False

    @property
    def task_key(self) -> str:
        """The task with what tells a mapped or partitioned copy from its siblings."""
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        partition = f"@{self.partition}" if self.partition else ""
        return f"{self.task}{mapped}{partition}"
