"""One job for one effect: submitted, or found where a worker died between the server and its note.

The order is what makes it one: the questions are uploaded, which may be repeated; the store is told
that a job is about to be submitted; the server is asked; the store is told which job it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from backbeat.inference.jobs.load import Load
from backbeat.inference.jobs.notes import Notes
from backbeat.inference.jobs.opened import Opened
from backbeat.inference.jobs.server import JobServer, JobState, JobStatus

__all__ = ["Submitting"]

_log = logging.getLogger(__name__)


class Submitting:
    """Submits the jobs of a course, one at a time.

    Args:
        server: Who is asked.
        before: Told how many questions are about to be submitted; raises BudgetSpent.
        ensure_current: Raises FencedOut where a later attempt has taken over.
    """

    def __init__(
        self,
        server: JobServer,
        *,
        before: Callable[[int], None],
        ensure_current: Callable[[], None],
    ) -> None:
        self._server = server
        self._before, self._ensure_current = before, ensure_current
        self._under_way: tuple[Notes, int, str, datetime] | None = None

    async def submit(self, opened: Opened, effect: str, load: Load) -> None:
        """Start the shard's next job, unless a worker that died has done so.

        Raises:
            LeaseHeld: Another worker may be submitting it right now.
            BudgetSpent: The cap is reached.
            BackbeatError: See `JobServer`.
        """
        number = len(opened.jobs)
        self._under_way = (opened.notes, number, effect, datetime.now(UTC))
        job = await self._found(opened.notes, number, effect)
        is_new = job is None
        if job is None:
            job, is_new = await self._started(opened.notes, number, effect, load)
        opened.jobs.append(await asyncio.to_thread(opened.notes.record, number, job))
        opened.status = JobStatus(state=JobState.QUEUED)
        opened.ours = is_new
        opened.tries += is_new
        self._under_way = None

    async def cancel(self, server: JobServer) -> None:
        """Cancel the job that was being submitted when the task was killed.

        Args:
            server: The same, in the event loop that there is now.
        """
        if self._under_way is None:
            return
        notes, number, effect, since = self._under_way
        try:
            found = await server.find(effect, since=since)
            if found is not None:
                await asyncio.to_thread(notes.give_up, number)
                await server.cancel(found)
                _log.info("cancelled the remote job %s", found)
        except Exception as error:  # noqa: BLE001 - the others are to be cancelled too
            _log.warning("a job that was being submitted may go on: %s", error)

    async def _found(self, notes: Notes, number: int, effect: str) -> str | None:
        """What a worker that died has submitted; looked for before anything is uploaded."""
        intent = await asyncio.to_thread(notes.intent, number)
        return None if intent is None else await self._server.find(effect, since=intent.at)

    async def _started(
        self, notes: Notes, number: int, effect: str, load: Load
    ) -> tuple[str, bool]:
        """The job, and whether it is a new one."""
        uploaded = await self._server.upload(effect, load)
        await asyncio.to_thread(self._ensure_current)
        before = await asyncio.to_thread(notes.intend, number)
        if before is not None:
            found = await self._server.find(effect, since=before.at)
            if found is not None:
                return found, False
        await asyncio.to_thread(self._before, len(load.spans))
        return await self._server.submit(effect, uploaded, load), True
