"""A job that is under way: looked at until it has ended, and what its end means."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from itertools import count

from backbeat.errors import Conflict, NotFound, RetryableError
from backbeat.inference.jobs.opened import Opened
from backbeat.inference.jobs.server import JobServer, JobState, JobStatus
from backbeat.retries import seconds_to_wait

__all__ = ["Parked", "Waiting"]

_log = logging.getLogger(__name__)
_FIRST_PAUSE = 1.0
# what a server that is away is given to come back, in looks
_LOOKS_IN_VAIN = 20


class Parked(Exception):
    """No error: the jobs that are under way are somebody else's to wait for."""


class Waiting:
    """Waits for jobs, with full jitter between two looks.

    Args:
        server: Who is asked.
        longest: Largest window between two looks, in seconds.
        waited_for: None where this attempt waits; else the jobs that were waited for already.
        tell: Called after each look that finds a job under way.
    """

    def __init__(
        self,
        server: JobServer,
        *,
        longest: float,
        waited_for: Collection[str] | None,
        tell: Callable[[], None],
    ) -> None:
        self._server, self._longest = server, longest
        self._waited_for, self._tell = waited_for, tell

    async def until_ended(self, opened: Opened, others: Iterable[Opened]) -> None:
        """Wait for a job.

        Args:
            opened: The shard whose job it is.
            others: The shards whose jobs are under way beside it.

        Raises:
            Parked: It has not ended, and somebody else waits, for the others too.
            Conflict: It was cancelled meanwhile.
            BackbeatError: It failed meanwhile, or its server stays away.
        """
        in_vain = 0
        for look in count(1):
            patience = None
            try:
                await self._look(opened)
            except RetryableError as error:
                in_vain += 1
                if in_vain > _LOOKS_IN_VAIN:
                    raise
                patience = error.retry_after
                _log.warning("looking at the remote job again: %s", error)
            else:
                in_vain = 0
                if opened.status.state.ended:
                    await asyncio.to_thread(self._judge, opened)
                    return
                self._tell()
                if self._waited_for is not None:
                    await self._look_around(others)
                    raise Parked
            await asyncio.sleep(
                seconds_to_wait(look, base=_FIRST_PAUSE, cap=self._longest, retry_after=patience)
            )

    async def _look_around(self, others: Iterable[Opened]) -> None:
        """Whoever waits is told of jobs that are under way, and of no others."""
        for each in others:
            try:
                await self._look(each)
            except RetryableError as error:
                _log.warning("the remote job %s is taken to be under way: %s", each.job, error)

    async def _look(self, opened: Opened) -> None:
        try:
            opened.status = await self._server.status(opened.job)
        except NotFound:
            if opened.ours:
                raise
            # the server has forgotten it since
            opened.status = JobStatus(state=JobState.EXPIRED)
        if not opened.status.state.ended:
            if opened.status.state is JobState.CANCELLING and not opened.ours:
                # it was to end when we came: an earlier attempt's kill
                await asyncio.to_thread(opened.notes.give_up, opened.number)
            opened.ours = True

    def _judge(self, opened: Opened) -> None:
        """What ends badly is an error, unless it was over before anybody waited for it.

        Then it is submitted again; and so it is where a kill of ours has cancelled it.
        """
        state, job = opened.status.state, opened.job
        if not opened.ours and job not in (self._waited_for or ()):
            return
        if state is JobState.CANCELLED and not opened.notes.given_up(opened.number):
            raise Conflict(
                f"The remote job {job} was cancelled.",
                hint="clear or re-execute the task: what was answered is kept, the rest is asked",
            )
        if state is JobState.FAILED:
            raise opened.status.error or Conflict(
                f"The remote job {job} failed.", hint="look at it on its server"
            )
