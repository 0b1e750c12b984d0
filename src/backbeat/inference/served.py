"""Batch scoring by a served model: every row once, and no answer asked for twice that was kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from backbeat.errors import InvalidAnswer, InvalidData
from backbeat.inference.cutting import cuts, request_bytes_of
from backbeat.inference.media import fingerprints, media_columns, other_rows, require_media
from backbeat.inference.parts import ask_in_parts
from backbeat.inference.pieces import Piece, Pieces
from backbeat.inference.prediction import Prediction, served_version
from backbeat.inference.routing import replaced, routed
from backbeat.inference.scoring import Scored, Scoring
from backbeat.inference.shards import Shard, slices
from backbeat.inference.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.inference.client import InferenceClient

__all__ = ["Asking", "score_served"]

_REQUEST_ROWS = 256
# so many rows answered wrongly, and none rightly, are no rows that are bad
_ALL_WRONG = 8


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How rows are asked about.

    Args:
        parameters: The model's own, such as a temperature.
        request_rows: Rows of a request; what the server prefers, else 256, where None.
        request_bytes: Bytes of a request's values; 8 MiB, over gRPC just under 4, where None.
        column: Name of the output where the model gives just one.
        confidence: The output that says how sure the model is; `confidence` where None.
        at_least: Rows with less confidence are asked of `doubtful`, or routed to `review`; None
            takes every answer.
        max_bad_rows: So many rows may be refused by the model, or be answered in a way that breaks
            its protocol; they are put into a side file.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    request_rows: int | None = None
    request_bytes: int | None = None
    column: str = "score"
    confidence: str | None = None
    at_least: float | None = None
    max_bad_rows: int = 0


async def score_served(
    scoring: Scoring,
    client: InferenceClient,
    asking: Asking,
    *,
    tally: Tally,
    doubtful: InferenceClient | None = None,
    settle: Callable[[float], Any] | None = None,
    forecast: Callable[[int], None] = lambda _calls: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    ensure_current: Callable[[], None] = lambda: None,
    accept: Callable[[Sequence[str]], None] | None = None,
) -> tuple[Scored, int]:
    """Score a table; an attempt after a crash asks only what was not answered.

    Requests of a shard and of the next are under way together, so many as the client's policy
    allows; each answer is kept before its place is given to another request. Memory holds the
    shards of what is under way, however long the table is.

    Args:
        scoring: What to score, and where to.
        client: Asks the model.
        asking: How.
        tally: Counts what is answered.
        doubtful: Asked about rows that the model is not sure of.
        settle: Awaited with the cost of each answered call.
        forecast: Told, before the first call, how many there will be without any retry; may raise.
        progress: Called with rows done and rows in all.
        ensure_current: Called before a shard's file is written; raises FencedOut.
        accept: Called with the files' store keys before the manifest names them.

    Returns:
        What was done, and how many calls may have been made twice: those that may have been under
        way when an earlier attempt died.

    Raises:
        InvalidData: A key comes twice, or the model refused more rows than may be bad.
        InvalidAnswer: It answered more rows wrongly than may be bad, or none at all rightly.
        BackbeatError: What kept a call from its answer; all answers until then are kept.
    """
    reused = await asyncio.to_thread(scoring.begin)
    course = _Course(scoring, client, asking, tally, doubtful, settle, progress, ensure_current)
    if reused < len(scoring.shards):
        size = await course.request_rows()
        missing = [each for each in scoring.shards if each.index not in scoring.entries]
        forecast(sum(-(-shard.rows // size) for shard in missing))
        await course.run(size)
        tally.breaker = client.breaker
    course.tell()
    scored = await asyncio.to_thread(
        scoring.finish,
        ensure_current=ensure_current,
        accept=accept,
        reused=reused,
    )
    return scored, course.repeated


@dataclass
class _Open:
    """A shard that is being asked about."""

    shard: Shard
    rows: pa.Table
    pieces: Pieces
    kept: list[Piece] = field(default_factory=list)
    waiting: int = 0
    cut: bool = False


class _Course:
    """One run over all shards that are missing."""

    def __init__(
        self,
        scoring: Scoring,
        client: InferenceClient,
        asking: Asking,
        tally: Tally,
        doubtful: InferenceClient | None,
        settle: Callable[[float], Any] | None,
        progress: Callable[[int, int], None],
        ensure_current: Callable[[], None],
    ) -> None:
        self._scoring, self._client, self._asking = scoring, client, asking
        self._tally, self._doubtful, self._settle = tally, doubtful, settle
        self._progress, self._ensure_current = progress, ensure_current
        self._done = sum(
            entry["rows"] + entry.get("bad", {}).get("rows", 0)
            for entry in scoring.entries.values()
        )
        self._bad = sum(
            entry["bad"]["rows"] for entry in scoring.entries.values() if "bad" in entry
        )
        self._resumed = bool(scoring.entries)
        self._missing = 0
        self._slots = asyncio.Semaphore(client.resilience.in_flight)
        self._error: Exception | None = None
        self._from: dict[str, Any] = {}
        # whether the model has answered any row rightly, and what waits for it to do so
        self._right = any(entry["rows"] for entry in scoring.entries.values())
        self._suspects: list[tuple[_Open, Piece, InvalidAnswer]] = []

    @property
    def repeated(self) -> int:
        """Calls that may have been made twice: an earlier attempt's that left no answer."""
        return min(self._client.resilience.in_flight, self._missing) if self._resumed else 0

    def tell(self) -> None:
        """Tell how far the work is."""
        self._progress(self._done, self._scoring.shards[-1].stop)

    async def run(self, size: int) -> None:
        """Ask about all rows of the missing shards; raises the first error, the rest being kept."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            async for opened, start, stop in self._requests(size):
                await self._slots.acquire()
                if self._error is not None:
                    self._slots.release()
                    break
                task = asyncio.create_task(self._one(opened, start, stop))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            # what is under way is waited for and kept, whatever has gone wrong
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        if self._error is not None:
            raise self._error
        if self._suspects:
            raise _none_right(self._suspects[0][2])

    async def request_rows(self) -> int:
        """How many rows a request gets."""
        limit = self._client.protocol.rows_a_request(self._client.endpoint)
        size = self._asking.request_rows
        if size is None:
            size = (await self._client.describe()).preferred_rows or _REQUEST_ROWS
        return min(size, limit) if limit else size

    @property
    def _request_bytes(self) -> int:
        return self._asking.request_bytes or request_bytes_of(self._client.endpoint.transport)

    async def _requests(self, size: int) -> AsyncIterator[tuple[_Open, int, int]]:
        columns = list(dict.fromkeys([*self._scoring.keys, *self._scoring.features]))
        shards = slices(self._scoring.data, self._scoring.shards, columns)
        while (found := await asyncio.to_thread(_next, shards)) is not None:
            shard, rows = found
            if shard.index in self._scoring.entries:
                continue
            opened = await asyncio.to_thread(self._opened, shard, rows, size)
            sent = self._scoring.features
            asked = cuts(rows, sent, most_rows=size, most_bytes=self._request_bytes)
            missing = [cut for cut in asked if not _covered(opened, cut[0])]
            opened.waiting = len(missing)
            self._missing += len(missing)
            if not missing:
                await self._close(opened)
            for start, stop in missing:
                yield opened, start, stop

    def _opened(self, shard: Shard, rows: pa.Table, size: int) -> _Open:
        # pieces of other sizes do not fit together
        name = self._scoring.names[shard.index].removeprefix("sha256:")[:16]
        folder = f"{self._scoring.output}/_pieces/{name}-{size}-{self._request_bytes}"
        pieces = Pieces(self._scoring.store, folder)
        kept = pieces.found()
        if kept:
            self._resumed = True
            self._right = self._right or any(len(piece.answers) for piece in kept)
            self._done += sum(piece.stop - piece.start for piece in kept)
            self._bad += sum(len(piece.bad) for piece in kept if piece.bad is not None)
        return _Open(shard=shard, rows=rows, pieces=pieces, kept=kept)

    async def _one(self, opened: _Open, start: int, stop: int) -> None:
        try:
            rows = opened.rows.slice(start, stop - start)
            piece, wrong = await self._asked(opened.shard, rows, start)
            self._right = self._right or bool(len(piece.answers))
            if wrong is not None and not self._right:
                self._suspect(opened, piece, wrong)
                return
            if self._right:
                waiting, self._suspects = self._suspects, []
                for suspect, held, _ in waiting:
                    await self._keep(suspect, held)
            await self._keep(opened, piece)
        except Exception as error:  # noqa: BLE001 - raised when all that is under way is kept
            self._error = self._error or error
        finally:
            self._slots.release()

    async def _keep(self, opened: _Open, piece: Piece) -> None:
        await asyncio.to_thread(opened.pieces.keep, piece)
        opened.kept.append(piece)
        opened.waiting -= 1
        self._done += piece.stop - piece.start
        if not opened.waiting:
            await self._close(opened)
        self.tell()

    def _suspect(self, opened: _Open, piece: Piece, wrong: InvalidAnswer) -> None:
        """Hold a piece without a right answer back: while there is none at all, no row is bad."""
        self._suspects.append((opened, piece, wrong))
        if sum(held.stop - held.start for _, held, _ in self._suspects) >= _ALL_WRONG:
            self._error = self._error or _none_right(wrong)

    async def _close(self, opened: _Open) -> None:
        await asyncio.to_thread(self._ensure_current)
        await asyncio.to_thread(self._record, opened)

    def _record(self, opened: _Open) -> None:
        import pyarrow as pa

        kept = sorted(opened.kept, key=lambda piece: piece.start)
        answers = [piece.answers for piece in kept if len(piece.answers)]
        bad = [piece.bad for piece in kept if piece.bad is not None]
        if answers:
            table = pa.concat_tables(answers, promote_options="permissive")
        else:
            table = opened.rows.select(self._scoring.keys).slice(0, 0)
        self._scoring.record(
            opened.shard,
            table,
            pa.concat_tables(bad) if bad else None,
            provenance={"address": self._client.endpoint.address, **self._from},
        )
        opened.pieces.forget()

    async def _asked(
        self, shard: Shard, rows: pa.Table, start: int
    ) -> tuple[Piece, InvalidAnswer | None]:
        """Ask about some rows; those that get no answer are found by halving.

        Returns:
            The piece; and what was wrong with an answer, where no row of it got a right one.
        """
        import pyarrow as pa

        answers: list[pa.Table] = []
        refused: list[tuple[int, InvalidData | InvalidAnswer]] = []
        halves = _around(other_rows(rows.select(self._scoring.features)), len(rows))
        while halves:
            first, last = halves.pop(0)
            part = rows.slice(first, last - first)
            try:
                answers.append(await self._answered(part, f"{self._name(shard)}-{start + first}"))
            except (InvalidData, InvalidAnswer) as error:
                if self._bad >= self._asking.max_bad_rows:
                    raise self._too_bad(shard, start + first, start + last, error) from error
                if last - first > 1:
                    middle = (first + last) // 2
                    halves[:0] = [(first, middle), (middle, last)]
                    continue
                self._bad += 1
                refused.append((first, error))
                if not answers and not self._right and _all_wrong(refused):
                    raise _none_right(error) from error
        good = [table for table in answers if len(table)]
        refused.sort(key=lambda each: each[0])
        keys = rows.select(self._scoring.keys)
        piece = Piece(
            start=start,
            stop=start + len(rows),
            answers=pa.concat_tables(good, promote_options="permissive")
            if good
            else keys.slice(0, 0),
            bad=_side_file(keys, refused, self._seen(rows, refused)) if refused else None,
        )
        wrong = [error for _, error in refused if isinstance(error, InvalidAnswer)]
        return piece, wrong[0] if wrong and not good else None

    def _seen(
        self, rows: pa.Table, refused: Sequence[tuple[int, InvalidData | InvalidAnswer]]
    ) -> dict[str, pa.Array]:
        import pyarrow as pa

        media = media_columns(rows.schema)
        taken = rows.select(media).take(pa.array([at for at, _ in refused])) if media else rows
        return fingerprints(taken, [name for name in self._scoring.features if name in media])

    async def _answered(self, rows: pa.Table, request_id: str) -> pa.Table:
        import pyarrow as pa

        part = rows.select(self._scoring.features)
        whole = part.to_batches()
        # most parts lie in one piece, which need not be copied
        asked = whole[0] if len(whole) == 1 else part.combine_chunks().to_batches()[0]
        require_media(asked)
        found = await self._predicted(self._client, asked, request_id)
        table = self._as_table(found)
        if self._asking.at_least is not None:
            table = await self._routed(table, found, asked, request_id)
        for at, name in enumerate(self._scoring.keys):
            table = table.add_column(at, name, rows.column(name))
        return table.append_column("request_id", pa.repeat(pa.scalar(request_id), len(table)))

    async def _predicted(
        self, client: InferenceClient, asked: pa.RecordBatch, request_id: str
    ) -> Prediction:
        found = await client.predict(
            asked, parameters=self._asking.parameters, request_id=request_id
        )
        origin = found.provenance
        cost = self._tally.count(origin)
        if self._settle is not None:
            await self._settle(cost)
        names = ("model", "version", "server")
        if not origin.instead_of and client is self._client:
            self._from.update({name: getattr(origin, name) for name in names})
        return found

    def _as_table(self, found: Prediction) -> pa.Table:
        """The outputs, with the version that gave them where that is a fallback's."""
        import pyarrow as pa

        table = pa.Table.from_batches([found.outputs])
        if table.num_columns == 1:
            table = table.rename_columns([self._asking.column])
        self._scoring.refuse_columns(table.column_names)
        origin = found.provenance
        if origin.instead_of:
            labels = pa.array([served_version(origin)] * len(table), pa.string())
            table = table.append_column("model_version", labels)
        return table

    async def _routed(
        self, table: pa.Table, found: Prediction, asked: pa.RecordBatch, request_id: str
    ) -> pa.Table:
        bar, column = self._asking.at_least, self._asking.confidence
        assert bar is not None  # noqa: S101 - the caller has looked
        table, unsure = routed(table, found, at_least=bar, confidence=column)
        if self._doubtful is None or not len(unsure):
            return table
        other, rest = self._doubtful, asked.take(unsure)
        again = await ask_in_parts(
            lambda part, name: self._predicted(other, part, name),
            other,
            rest,
            request_id=f"{request_id}-fallback",
        )
        return replaced(
            table, again, unsure, column=self._asking.column, confidence=self._asking.confidence
        )

    def _name(self, shard: Shard) -> str:
        return self._scoring.names[shard.index].removeprefix("sha256:")[:16]

    def _too_bad(
        self, shard: Shard, first: int, last: int, error: InvalidData | InvalidAnswer
    ) -> InvalidData | InvalidAnswer:
        most = self._asking.max_bad_rows
        where = f"the rows {shard.start + first} to {shard.start + last - 1}"
        told = f"{most} were bad before, as many as may be" if most else "none may be"
        did = "refused" if isinstance(error, InvalidData) else "answered wrongly about"
        return type(error)(
            f"The model {did} {where} ({told}): {error.message}",
            hint=error.hint or "repair the rows, or allow some with `max_bad_rows`",
        )


def _next(shards: Iterator[tuple[Shard, pa.Table]]) -> tuple[Shard, pa.Table] | None:
    return next(shards, None)


def _around(others: Sequence[int], rows: int) -> list[tuple[int, int]]:
    """Rows that nobody need be asked about, one by one, then what lies between them."""
    ends = [-1, *others, rows]
    between = [(first + 1, last) for first, last in pairwise(ends) if first + 1 < last]
    return [(at, at + 1) for at in others] + between


def _none_right(error: InvalidData | InvalidAnswer) -> InvalidAnswer:
    return InvalidAnswer(
        f"Not one row was answered as the protocol promises: {error.message}",
        hint=error.hint or "look whether the address names the right protocol",
    )


def _all_wrong(refused: Sequence[tuple[int, InvalidData | InvalidAnswer]]) -> bool:
    wrong = sum(isinstance(error, InvalidAnswer) for _, error in refused)
    return wrong == len(refused) >= _ALL_WRONG


def _covered(opened: _Open, start: int) -> bool:
    return any(piece.start == start for piece in opened.kept)


def _side_file(
    keys: pa.Table,
    refused: Sequence[tuple[int, InvalidData | InvalidAnswer]],
    seen: Mapping[str, pa.Array],
) -> pa.Table:
    import pyarrow as pa

    rows = keys.take(pa.array([at for at, _ in refused]))
    errors = [error for _, error in refused]
    rows = rows.append_column(
        "error", pa.array([type(error).__name__ for error in errors])
    ).append_column("message", pa.array([error.message for error in errors]))
    for name, values in seen.items():
        rows = rows.append_column(name, values)
    return rows
