"""What a job server is: a few verbs, each safe to repeat but the one that submits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from backbeat.errors import BackbeatError
from backbeat.inference.jobs.load import Load
from backbeat.inference.protocol import Answer

__all__ = ["Finding", "JobServer", "JobState", "JobStatus"]


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Whether it will change no more."""
        return self not in {JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING}


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """What a server says about a job.

    Args:
        state: Where it is.
        total: Questions in it, 0 where that is not known yet.
        answered: Those that are answered, refused ones too.
        error: Why it failed; says if submitting it again can help.
    """

    state: JobState
    total: int = 0
    answered: int = 0
    error: BackbeatError | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What came of one question.

    Args:
        name: The question's name.
        answer: What the model said; or why it did not. A RetryableError is asked again.
    """

    name: str
    answer: Answer | BackbeatError


class JobServer(Protocol):
    """A server that takes many questions as one job; made for one model, used by one event loop.

    Register one of your own under the entry point group `backbeat.jobs`, named as its addresses
    begin: a callable that is handed the `Endpoint`, and `secrets`, `resilience` and `shared` as
    `backbeat.inference.connect` has them. It makes no request yet.

    Every verb raises Unreachable where the server does not answer (a retry can help), Refused
    where it does not know who asks, and NotFound where there is no such job.
    """

    async def upload(self, name: str, load: Load) -> str:
        """Put what is asked where the server reads it; repeating it costs a transfer, no job.

        Args:
            name: The effect's id, to name files by.
            load: What is asked.

        Returns:
            What `submit` needs; empty where the server has no such place.

        Raises:
            ContractBroken: A row is not what the model takes.
            InvalidStep: It is more than the server takes in a job; says how much that is.
        """

    async def submit(self, effect_id: str, uploaded: str, load: Load) -> str:
        """Start a job that carries its effect's id where `find` looks for it; returns its id.

        It is called once. Where the answer is lost it looks with `find` before it tries again.
        """

    async def find(self, effect_id: str, *, since: datetime) -> str | None:
        """The id of the job that was started for an effect, None where there is none.

        Args:
            effect_id: Which effect.
            since: It was not started before, by the worker's clock.
        """

    async def status(self, job_id: str) -> JobStatus:
        """Where the job is."""

    def results(self, job_id: str, load: Load) -> AsyncIterator[Finding]:
        """What came of the questions of an ended job, in any order, a few in memory at a time.

        A question that was never asked, as the job expired or was cancelled, is left out.

        Args:
            job_id: Which job.
            load: Gives the rows of a question by its name.
        """

    async def cancel(self, job_id: str) -> None:
        """Stop it; one that has ended is no error. What is answered by then stays answered."""

    async def aclose(self) -> None:
        """Close all connections."""
