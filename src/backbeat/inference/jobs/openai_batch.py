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
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from backbeat.errors import BackbeatError, InvalidAnswer, InvalidStep
from backbeat.inference.address import Endpoint
from backbeat.inference.jobs.calls import Calls
from backbeat.inference.jobs.load import Load
from backbeat.inference.jobs.openai_batch_lines import Lines, number
from backbeat.inference.jobs.server import Finding, JobState, JobStatus
from backbeat.inference.message import Buffer, Request, Response
from backbeat.inference.protocols.openai import OpenAI

if TYPE_CHECKING:
    from backbeat.inference.resilience import Resilience
    from backbeat.retries.budget import Spends

__all__ = ["OpenAIBatch"]

_PATH = re.compile(r"(?P<root>.*)/batches")
_EXAMPLE = "openai-batch+https://<host>/v1/batches?model=<name>"
_ENDPOINTS = ("/v1/chat/completions", "/v1/embeddings")
_OPTIONS = {"model", "endpoint"}
_METADATA = "backbeat_effect"
_WINDOW = "24h"
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
        self._lines = Lines(endpoint, root=_root(endpoint), target=self._target)
        protocol = OpenAI()
        self._calls = Calls(
            endpoint,
            failure=lambda response: protocol.failure(endpoint, response),
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
            self._lines.write(file, load)
            size = file.tell()
            file.flush()
            # sent from where the system keeps the file, however large it is
            lines = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
            request = self._form(f"{_plain(name)}.jsonl", lines)
            found = await self._calls.ask(request, self._json, size=size)
        return self._lines.text(found, "id")

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
            return self._lines.text(self._json(await self._calls.once(request, seconds=left)), "id")

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
                    return self._lines.text(batch, "id")
            old = all(number(batch.get("created_at")) < oldest for batch in batches)
            if old or not page.get("has_more"):
                return None
            after = f"&after={quote(self._lines.text(batches[-1], 'id'), safe='')}"

    async def status(self, job_id: str) -> JobStatus:
        """Where the batch is; see `JobServer`."""
        batch = await self._get(f"/batches/{quote(job_id, safe='')}")
        said = self._lines.text(batch, "status")
        if said not in _STATES:
            raise InvalidAnswer(
                f"{self._endpoint.authority} says that {job_id} is {said[:60]!r}.",
                hint="look whether this version of backbeat knows that server",
            )
        state = _STATES[said]
        counts = batch.get("request_counts") or {}
        return JobStatus(
            state=state,
            total=int(number(counts.get("total"))),
            answered=int(number(counts.get("completed")) + number(counts.get("failed"))),
            error=self._lines.failure(job_id, batch) if state is JobState.FAILED else None,
        )

    async def results(self, job_id: str, load: Load) -> AsyncIterator[Finding]:
        """Read the batch's two files, that of answers and that of errors; see `JobServer`."""
        batch = await self._get(f"/batches/{quote(job_id, safe='')}")
        for name in ("output_file_id", "error_file_id"):
            if batch.get(name):
                with tempfile.TemporaryFile() as file:
                    at = quote(self._lines.text(batch, name), safe="")
                    request = Request(method="GET", url=f"{self._root}/files/{at}/content")
                    await self._calls.save(request, file)
                    file.seek(0)
                    for line in file:
                        found = self._lines.read(line, load)
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

    async def _get(self, path: str) -> Any:
        request = Request(method="GET", url=f"{self._root}{path}", headers=_JSON)
        return await self._calls.ask(request, self._json)

    def _json(self, response: Response) -> Any:
        return self._lines.parsed(bytes(response.body))


def _root(endpoint: Endpoint) -> str:
    found = _PATH.fullmatch(endpoint.path)
    return found["root"] if found else ""


def _plain(name: str) -> str:
    # a boundary has 70 letters at most
    return re.sub(r"[^A-Za-z0-9]+", "-", name)[:40]
