"""A shard whose job is under way, as all parts of a course see it."""

from __future__ import annotations

from dataclasses import dataclass, field

from backbeat.inference.jobs.notes import Notes
from backbeat.inference.jobs.server import JobState, JobStatus
from backbeat.inference.shards import Shard

__all__ = ["Opened"]


@dataclass
class Opened:
    """A shard whose job is under way.

    Args:
        shard: Which one.
        notes: What the store knows of its jobs.
        jobs: Ids of all jobs that were submitted for it; the last one counts.
        tries: How many of them this attempt has submitted.
        ours: Whether this attempt has submitted the last one, or seen it alive.
        status: What the server said last.
    """

    shard: Shard
    notes: Notes
    jobs: list[str]
    tries: int = 0
    ours: bool = False
    status: JobStatus = field(default_factory=lambda: JobStatus(state=JobState.QUEUED))

    @property
    def job(self) -> str:
        """The id of the job that counts."""
        return self.jobs[-1]

    @property
    def number(self) -> int:
        """Which of the shard's jobs that is, counted from 0."""
        return len(self.jobs) - 1
