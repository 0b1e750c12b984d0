"""A table scored by remote jobs, one a shard: submitted or found again, waited for, collected."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from backbeat.errors import NotFound, Unreachable
from backbeat.inference.jobs.answers import Answers
from backbeat.inference.jobs.load import Load
from backbeat.inference.jobs.notes import Notes
from backbeat.inference.jobs.opened import Opened
from backbeat.inference.jobs.policy import JobPolicy
from backbeat.inference.jobs.server import JobServer
from backbeat.inference.jobs.submitting import Submitting
from backbeat.inference.jobs.waiting import Parked, Waiting
from backbeat.inference.jobs.writing import Writing
from backbeat.inference.scoring import Scored, Scoring
from backbeat.inference.shards import Shard, slices

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Course", "Spending", "UnderWay"]

_log = logging.getLogger(__name__)

UnderWay: TypeAlias = tuple[tuple[str, str], ...]
"""Ids of the jobs to wait for, each with the key of its note (see `Job`)."""


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What jobs cost, and what they may.

    Args:
        forecast: Told, before the first job, how many questions are to be submitted; may raise.
        before: Told how many questions are about to be submitted; raises BudgetSpent.
        after: Told, once a job, how many of its questions have an answer, and what they have cost.
    """

    forecast: Callable[[int], None] = lambda _questions: None
    before: Callable[[int], None] = lambda _questions: None
    after: Callable[[int, float], None] = lambda _questions, _cost: None


class Course:
    """One attempt at all shards that are missing.

    Args:
        scoring: What to score, and where to.
        server: Who is asked.
        policy: How jobs are waited for.
        writing: How answers become a shard's table.
        effect: The deterministic id of a shard's job, of the shard's key and the job's number.
        request_rows: Rows of a question.
        waited_for: See StepContext.
        spending: What jobs cost.
        progress: Called with rows done and rows in all.
        ensure_current: Raises FencedOut where a later attempt has taken over.
    """

    def __init__(
        self,
        scoring: Scoring,
        server: JobServer,
        policy: JobPolicy,
        writing: Writing,
        *,
        effect: Callable[[str, int], str],
        request_rows: int = 1,
        waited_for: frozenset[str] | None = None,
        spending: Spending | None = None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        ensure_current: Callable[[], None] = lambda: None,
    ) -> None:
        self._scoring, self._server, self._policy = scoring, server, policy
        self._writing, self._effect, self._size = writing, effect, request_rows
        self._waited_for, self._spending = waited_for, spending or Spending()
        self._progress, self._ensure_current = progress, ensure_current
        self._open: deque[Opened] = deque()
        self._submitting = Submitting(
            server, before=self._spending.before, ensure_current=ensure_current
        )
        self._waiting = Waiting(
            server, longest=policy.poll_seconds, waited_for=waited_for, tell=self._tell
        )
        self._done = 0
        self._counted: set[str] = set()
        self.jobs: list[str] = []

    async def run(self, accept: Callable[[Sequence[str]], None] | None) -> Scored | UnderWay:
        """Score what is not scored yet.

        Args:
            accept: Called with the files' store keys before the manifest names them.

        Returns:
            What was done; or, where it is not this attempt's to wait, what is under way.

        Raises:
            Conflict: A job was cancelled on its server while this attempt waited for it.
            InvalidData: The model refused more rows than may be bad.
            BackbeatError: What kept a job from its answers; what was answered stays with the
                server, and is not asked again.
        """
        reused = await asyncio.to_thread(self._scoring.begin)
        self._done = self._writing.begin(self._scoring)
        await asyncio.to_thread(self._forecast)
        ahead = self._missing()
        try:
            for shard, rows in self._missing():
                await self._fill(ahead)
                await self._finish(shard, rows)
                self._open.popleft()
        except Parked:
            under_way = [each for each in self._open if not each.status.state.ended]
            return tuple((each.job, each.notes.gone(each.number)) for each in under_way)
        self._tell()
        return await asyncio.to_thread(
            self._scoring.finish,
            ensure_current=self._ensure_current,
            accept=accept,
            reused=reused,
        )

    async def cancel(self, server: JobServer) -> None:
        """Stop what is under way: the task was killed. Errors are logged.

        Args:
            server: The same, in the event loop that there is now.
        """
        await self._submitting.cancel(server)
        for each in self._open:
            if not each.jobs or each.status.state.ended:
                continue
            try:
                await asyncio.to_thread(each.notes.give_up, each.number)
                await server.cancel(each.job)
                _log.info("cancelled the remote job %s", each.job)
            except Exception as error:  # noqa: BLE001 - the others are to be cancelled too
                _log.warning("the remote job %s may go on: %s", each.job, error)

    def _forecast(self) -> None:
        scoring = self._scoring
        missing = [each for each in scoring.shards if each.index not in scoring.entries]
        new = [shard for shard in missing if not self._notes(shard).submitted()]
        self._spending.forecast(sum(-(-shard.rows // self._size) for shard in new))

    def _missing(self) -> Iterator[tuple[Shard, pa.Table]]:
        scoring = self._scoring
        if len(scoring.entries) == len(scoring.shards):
            return
        columns = list(dict.fromkeys([*scoring.keys, *scoring.features]))
        for shard, rows in slices(scoring.data, scoring.shards, columns):
            if shard.index not in scoring.entries:
                yield shard, rows

    async def _fill(self, ahead: Iterator[tuple[Shard, pa.Table]]) -> None:
        """Have as many jobs under way as may be."""
        while len(self._open) < self._policy.at_a_time:
            found = await asyncio.to_thread(next, ahead, None)
            if found is None:
                return
            shard, rows = found
            notes = self._notes(shard)
            jobs = await asyncio.to_thread(notes.submitted)
            tries = len(self._waited_for.intersection(jobs)) if self._waited_for else 0
            opened = Opened(shard=shard, notes=notes, jobs=jobs, tries=tries)
            self._open.append(opened)
            if not jobs and shard.rows:
                await self._submit(opened, rows, self._writing.answers(shard).missing(self._size))

    async def _finish(self, shard: Shard, rows: pa.Table) -> None:
        """See a shard through to its file."""
        opened = self._open[0]
        while True:
            if shard.rows:
                others = [each for each in self._open if each is not opened and each.jobs]
                await self._waiting.until_ended(opened, others)
            answers = await self._collected(opened, rows)
            missing = answers.missing(self._size)
            if not missing:
                break
            if opened.tries >= self._policy.tries:
                raise answers.error or Unreachable(
                    f"{opened.job} ended as {opened.status.state}, and "
                    f"{len(missing)} questions have no answer after {opened.tries} jobs.",
                    hint="look at the job on its server; make the shards smaller if it expires",
                )
            await self._submit(opened, rows, missing)
        await asyncio.to_thread(self._ensure_current)
        await asyncio.to_thread(self._writing.record, shard, rows, answers, opened.jobs)
        self.jobs += opened.jobs
        self._done += shard.rows
        self._tell()

    async def _submit(
        self, opened: Opened, rows: pa.Table, spans: Sequence[tuple[int, int]]
    ) -> None:
        effect = self._effect(self._scoring.names[opened.shard.index], len(opened.jobs))
        await self._submitting.submit(opened, effect, self._load(rows, spans))

    async def _collected(self, opened: Opened, rows: pa.Table) -> Answers:
        """The answers of all jobs of a shard: those before the last were cut short."""
        answers = self._writing.answers(opened.shard)
        if not opened.jobs:
            return answers
        load = self._load(rows, ())
        for number, job in enumerate(opened.jobs):
            answers.job = job
            known, cost = 0, 0.0
            try:
                async for finding in self._server.results(job, load):
                    answer = answers.add(finding)
                    known += 1
                    if answer is not None and job not in self._counted:
                        cost += self._writing.counted(answer)
                    self._writing.limit(opened.shard, answers)
            except NotFound:
                if job == opened.job and opened.ours:
                    raise
                _log.warning("the server no longer has the answers of %s", job)
            self._counted.add(job)
            if await asyncio.to_thread(opened.notes.charge, number):
                await asyncio.to_thread(self._spending.after, known, cost)
        return answers

    def _load(self, rows: pa.Table, spans: Sequence[tuple[int, int]]) -> Load:
        asked = rows.select(self._scoring.features).combine_chunks().to_batches()
        return Load(rows=asked[0], spans=spans, parameters=self._writing.asking.parameters)

    def _notes(self, shard: Shard) -> Notes:
        name = self._scoring.names[shard.index].removeprefix("sha256:")
        return Notes(self._scoring.store, f"{self._scoring.output}/_jobs/{name}")

    def _tell(self) -> None:
        total = self._scoring.shards[-1].stop
        under_way = sum(each.status.answered for each in self._open) if self._size == 1 else 0
        self._progress(min(self._done + under_way, total), total)
