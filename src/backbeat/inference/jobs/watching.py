"""Jobs as whoever waits for them, or kills their task, sees them: by name and address alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from itertools import groupby

from backbeat.errors import NotFound
from backbeat.inference.jobs.notes import give_up
from backbeat.inference.jobs.server import JobServer, JobState, JobStatus
from backbeat.inference.jobs.servers import job_server
from backbeat.ports import Store
from backbeat.step import Job

__all__ = ["cancel_jobs", "statuses"]

_log = logging.getLogger(__name__)
Secrets = Mapping[str, Mapping[str, str]]


async def statuses(jobs: Sequence[Job], secrets: Secrets) -> dict[str, JobStatus]:
    """What the servers say about jobs, by their ids.

    Args:
        jobs: Which ones.
        secrets: Credentials by their name, those of all jobs.

    Raises:
        RetryableError: A server does not answer; look again later.
        FinalError: Looking is in vain, such as for credentials that are not accepted; performing
            the step meets the same error, and tells it.
    """
    found: dict[str, JobStatus] = {}
    for server, theirs in _servers(jobs, secrets):
        async with aclosing(server):
            for job in theirs:
                try:
                    found[job.id] = await server.status(job.id)
                except NotFound:
                    # the server has forgotten it: nothing is left to wait for
                    found[job.id] = JobStatus(state=JobState.EXPIRED)
    return found


async def cancel_jobs(jobs: Sequence[Job], secrets: Secrets, store: Store) -> None:
    """Cancel the jobs of a task that was killed; what goes wrong is logged.

    Args:
        jobs: Which ones; one that has ended is left as it is.
        secrets: Credentials by their name.
        store: Where it is noted, so that the next attempt submits what is left.
    """
    for server, theirs in _servers(jobs, secrets):
        async with aclosing(server):
            for job in theirs:
                try:
                    if job.note:
                        await asyncio.to_thread(give_up, store, job.note)
                    await server.cancel(job.id)
                    _log.info("cancelled the remote job %s", job.id)
                except Exception as error:  # noqa: BLE001 - the others are to be cancelled too
                    _log.warning("the remote job %s may go on: %s", job.id, error)


def _servers(jobs: Sequence[Job], secrets: Secrets) -> list[tuple[JobServer, list[Job]]]:
    def place(job: Job) -> tuple[str, str]:
        return job.address, job.credentials

    return [
        (job_server(address, secrets=secrets.get(name, {})), list(theirs))
        for (address, name), theirs in groupby(sorted(jobs, key=place), key=place)
    ]
