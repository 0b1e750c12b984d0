"""OpenAI's Batch API: a file of requests goes up, a job works it off, files of answers come down.

    openai-batch+https://host/v1/batches?model=NAME                            chat completions
    openai-batch+https://host/v1/batches?model=NAME&endpoint=/v1/embeddings    embeddings

A row is asked as under an `openai` address, and its answer read as there. The effect's id stands in
the job's `metadata`. https://platform.openai.com/docs/api-reference/batch
"""

from __future__ import annotations

import json
import mmap
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from backbeat.errors import BackbeatError, InvalidAnswer, InvalidStep
from backbeat.inference.address import Endpoint
from backbeat.inference.jobs.calls import Calls
from backbeat.inference.jobs.load import Load
from backbeat.inference.jobs.server import Finding, JobState, JobStatus
from backbeat.inference.message import Buffer, Request, Response
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols.openai import OpenAI

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.inference.resilience import Resilience
    from backbeat.retries.budget import Spends

__all__ = ["OpenAIBatch"]

_PATH = re.compile(r"(?P<root>.*)/batches")
_EXAMPLE = "openai-batch+https://<host>/v1/batches?model=<name>"
_ENDPOINTS = ("/v1/chat/completions", "/v1/embeddings")
_OPTIONS = {"model", "endpoint"}
_METADATA = "backbeat_effect"
_WINDOW = "24h"
_MOST_QUESTIONS = 50_000
_MOST_BYTES = 200 * 2**20
_PAGE = 100
# a worker's clock and a server's differ
_CLOCKS = timedelta(hours=1)
_JSON = {"content-type": "application/json", "accept": "application/json"}
_STATES = {
    "validating": JobState.QUEUED,
    "in_progress": JobState.RUNNING,
    "finalizing": JobState.RUNNING,
    "cancelling": JobState.CANCELLING,
    "completed": JobState.DONE,
    "failed": JobState.FAILED,
    "expired": JobState.EXPIRED,
    "cancelled": JobState.CANCELLED,
}
_NEVER_ASKED = {"batch_expired", "batch_cancelled"}
# a job that fails of these was not looked at: later there is room for it
_NO_ROOM = {"token_limit_exceeded", "rate_limit_exceeded"}


class OpenAIBatch:
    """The Batch API of OpenAI, and of whoever else speaks it.

    Args:
        endpoint: The address.
        secrets: Who we are.
        resilience: Deadline and retries of each request.
        shared: What the workers share.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        secrets: Mapping[str, str],
        resilience: Resilience | None = None,
        shared: Callable[[], Spends] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._target = endpoint.options.get("endpoint", _ENDPOINTS[0])
        self._root = endpoint.origin + _root(endpoint)
        self._protocol = OpenAI()
        self._asked_at = replace(
            endpoint,
            protocol="openai",
            path=_root(endpoint) + self._target.removeprefix("/v1"),
            options={"model": endpoint.options["model"]},
        )
        self._calls = Calls(
            endpoint,
            failure=lambda response: self._protocol.failure(endpoint, response),
            secrets=secrets,
            resilience=resilience,
            shared=shared,
        )

    @staticmethod
    def check(endpoint: Endpoint) -> None:
        """Raise InvalidStep where an address is not one of this API, and say what is."""
        wrong = ""
        if endpoint.transport not in {"http", "https"} or _PATH.fullmatch(endpoint.path) is None:
            wrong = "does not end in /batches over http or https"
        elif not endpoint.options.get("model"):
            wrong = "does not say which model"
        elif endpoint.options.get("endpoint", _ENDPOINTS[0]) not in _ENDPOINTS:
            wrong = f"asks for another endpoint than {' or '.join(_ENDPOINTS)}"
        elif not endpoint.options.keys() <= _OPTIONS:
            wrong = f"has other options than {' and '.join(sorted(_OPTIONS))}"
        if wrong:
            raise InvalidStep(f"{endpoint.address!r} {wrong}.", hint=f"write {_EXAMPLE}")

    async def upload(self, name: str, load: Load) -> str:
        """Upload the questions as a file of JSON lines; see `JobServer`."""
        with tempfile.TemporaryFile() as file:
            self._write(file, load)
            size = file.tell()
            file.flush()
            # sent from where the system keeps the file, however large it is
            lines = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
            request = self._form(f"{_plain(name)}.jsonl", lines)
            found = await self._calls.ask(request, self._json, size=size)
        return self._text(found, "id")

    async def submit(self, effect_id: str, uploaded: str, load: Load) -> str:
        """Start a batch; see `JobServer`."""
        del load  # it is in the file
        body = {
            "input_file_id": uploaded,
            "endpoint": self._target,
            "completion_window": _WINDOW,
            "metadata": {_METADATA: effect_id},
        }
        request = Request(
            method="POST",
            url=f"{self._root}/batches",
            headers={**_JSON, "idempotency-key": effect_id},
            body=(json.dumps(body).encode(),),
        )
        since = datetime.now().astimezone()
        sent = False

        async def attempt(left: float) -> str:
            nonlocal sent
            if sent:
                # the answer may have been lost, and not the request
                found = await self.find(effect_id, since=since)
                if found is not None:
                    return found
            sent = True
            return self._text(self._json(await self._calls.once(request, seconds=left)), "id")

        return await self._calls.tried(attempt)

    async def find(self, effect_id: str, *, since: datetime) -> str | None:
        """Look through the server's batches, the newest first; see `JobServer`."""
        oldest = (since - _CLOCKS).timestamp()
        after = ""
        while True:
            page = await self._get(f"/batches?limit={_PAGE}{after}")
            listed = page.get("data") if isinstance(page, Mapping) else None
            batches = [each for each in listed or () if isinstance(each, Mapping)]
            for batch in batches:
                if (batch.get("metadata") or {}).get(_METADATA) == effect_id:
                    return self._text(batch, "id")
            old = all(_number(batch.get("created_at")) < oldest for batch in batches)
            if old or not page.get("has_more"):
                return None
            after = f"&after={quote(self._text(batches[-1], 'id'), safe='')}"

    async def status(self, job_id: str) -> JobStatus:
        """Where the batch is; see `JobServer`."""
        batch = await self._get(f"/batches/{quote(job_id, safe='')}")
        said = self._text(batch, "status")
        if said not in _STATES:
            raise InvalidAnswer(
                f"{self._endpoint.authority} says that {job_id} is {said[:60]!r}.",
                hint="look whether this version of backbeat knows that server",
            )
        state = _STATES[said]
        counts = batch.get("request_counts") or {}
        return JobStatus(
            state=state,
            total=int(_number(counts.get("total"))),
            answered=int(_number(counts.get("completed")) + _number(counts.get("failed"))),
            error=self._why(job_id, batch) if state is JobState.FAILED else None,
        )

    async def results(self, job_id: str, load: Load) -> AsyncIterator[Finding]:
        """Read the batch's two files, that of answers and that of errors; see `JobServer`."""
        batch = await self._get(f"/batches/{quote(job_id, safe='')}")
        for name in ("output_file_id", "error_file_id"):
            if batch.get(name):
                with tempfile.TemporaryFile() as file:
                    at = quote(self._text(batch, name), safe="")
                    request = Request(method="GET", url=f"{self._root}/files/{at}/content")
                    await self._calls.save(request, file)
                    file.seek(0)
                    for line in file:
                        found = self._found(line, load)
                        if found is not None:
                            yield found

    async def cancel(self, job_id: str) -> None:
        """Cancel the batch; see `JobServer`."""
        url = f"{self._root}/batches/{quote(job_id, safe='')}/cancel"
        try:
            await self._calls.ask(Request(method="POST", url=url, headers=_JSON), self._json)
        except BackbeatError:
            # a batch that has ended cannot be cancelled
            if not (await self.status(job_id)).state.ended:
                raise

    async def aclose(self) -> None:
        """Close all connections."""
        await self._calls.aclose()

    def _write(self, file: IO[bytes], load: Load) -> None:
        count = 0
        for count, (name, rows) in enumerate(load.questions(), start=1):
            body = b"".join(self._encoded(rows, load).body)
            told = {"custom_id": name, "method": "POST", "url": self._target}
            file.write(json.dumps(told)[:-1].encode() + b', "body": ' + body + b"}\n")
            if count > _MOST_QUESTIONS or file.tell() > _MOST_BYTES:
                raise InvalidStep(
                    f"A job of {len(load.spans)} questions is more than {self._endpoint.protocol} "
                    f"takes: {_MOST_QUESTIONS} questions and {_MOST_BYTES >> 20} MiB.",
                    hint="make the shards smaller: each is a job, see `shard_rows`",
                )

    def _encoded(self, rows: pa.RecordBatch, load: Load) -> Request:
        return self._protocol.encode(self._asked_at, ModelInfo(), rows, load.parameters)

    def _form(self, name: str, lines: Buffer) -> Request:
        # no line of JSON holds a line break, so none can be taken for a boundary
        boundary = f"backbeat-{name}"
        head = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n'
            "content-type: application/jsonl\r\n\r\n"
        )
        parts: Sequence[Buffer] = (head.encode(), lines, f"\r\n--{boundary}--\r\n".encode())
        return Request(
            method="POST",
            url=f"{self._root}/files",
            headers={
                "content-type": f"multipart/form-data; boundary={boundary}",
                "accept": "application/json",
            },
            body=parts,
        )

    def _found(self, line: bytes, load: Load) -> Finding | None:
        """What a line says; None of a question that was never asked."""
        told = self._parsed(line)
        name = self._text(told, "custom_id")
        rows = load.asked(name)
        if rows is None:
            raise InvalidAnswer(
                f"{self._endpoint.authority} answered {name[:60]!r}, which was not asked.",
                hint="look whether somebody else has made this job",
            )
        error, answer = told.get("error"), told.get("response")
        if isinstance(error, Mapping) and not isinstance(answer, Mapping):
            if error.get("code") in _NEVER_ASKED:
                return None
            answer = {"status_code": 500, "body": {"error": error}}
        if not isinstance(answer, Mapping):
            raise InvalidAnswer(
                f"{self._endpoint.authority} wrote a line without an answer.",
                hint="look at the job's files on the server",
            )
        response = Response(
            status=int(_number(answer.get("status_code"))),
            headers={"x-request-id": str(answer.get("request_id") or "")},
            body=json.dumps(answer.get("body")).encode(),
            # what was asked for is not always in an answer
            request=self._encoded(rows, load),
        )
        return Finding(name=name, answer=self._decoded(rows, response))

    def _decoded(self, rows: pa.RecordBatch, response: Response) -> Answer | BackbeatError:
        failure = self._protocol.failure(self._asked_at, response)
        if failure is not None:
            return failure
        try:
            return self._protocol.decode(self._asked_at, ModelInfo(), rows, response)
        except BackbeatError as error:
            return error

    def _why(self, job_id: str, batch: Mapping[str, Any]) -> BackbeatError:
        listed = (batch.get("errors") or {}).get("data") or [{}]
        first = listed[0] if isinstance(listed[0], Mapping) else {}
        words = f"{job_id} failed: {first.get('message') or 'the server does not say why'}"
        line = f" (line {first['line']})" if first.get("line") else ""
        told = {"error": {"message": words + line, "code": first.get("code")}}
        status = 429 if first.get("code") in _NO_ROOM else 400
        response = Response(status=status, body=json.dumps(told).encode())
        failure = self._protocol.failure(self._endpoint, response)
        assert failure is not None  # noqa: S101 - neither status is good
        return failure

    async def _get(self, path: str) -> Any:
        request = Request(method="GET", url=f"{self._root}{path}", headers=_JSON)
        return await self._calls.ask(request, self._json)

    def _json(self, response: Response) -> Any:
        return self._parsed(bytes(response.body))

    def _parsed(self, text: bytes) -> Any:
        try:
            found = json.loads(text)
        except (RecursionError, ValueError) as error:
            raise InvalidAnswer(
                f"{self._endpoint.authority} answered with what is no JSON: {error}.",
                hint="look whether the address is that of a Batch API",
            ) from error
        if not isinstance(found, Mapping):
            raise InvalidAnswer(
                f"{self._endpoint.authority} answered with JSON that is no object.",
                hint="look whether the address is that of a Batch API",
            )
        return found

    def _text(self, found: Mapping[str, Any], name: str) -> str:
        value = found.get(name)
        if isinstance(value, str) and value:
            return value
        raise InvalidAnswer(
            f"{self._endpoint.authority} answered without {name!r}.",
            hint="look whether the address is that of a Batch API",
        )


def _root(endpoint: Endpoint) -> str:
    found = _PATH.fullmatch(endpoint.path)
    return found["root"] if found else ""


def _plain(name: str) -> str:
    # a boundary has 70 letters at most
    return re.sub(r"[^A-Za-z0-9]+", "-", name)[:40]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
