"""What a batch's files and its errors say: questions as lines of JSON, and lines as answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from backbeat.errors import BackbeatError, InvalidAnswer, InvalidStep
from backbeat.inference.address import Endpoint
from backbeat.inference.jobs.load import Load
from backbeat.inference.jobs.server import Finding
from backbeat.inference.message import Request, Response
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols.openai import OpenAI

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Lines", "number"]

_MOST_QUESTIONS = 50_000
_MOST_BYTES = 200 * 2**20
_NEVER_ASKED = {"batch_expired", "batch_cancelled"}
# a job that fails of these was not looked at: later there is room for it
_NO_ROOM = {"token_limit_exceeded", "rate_limit_exceeded"}


class Lines:
    """Reads and writes as the API at `target` would answer at once.

    Args:
        endpoint: The batches' address.
        root: The path below which the server's questions are.
        target: The API that the questions are for, such as `/v1/chat/completions`.
    """

    def __init__(self, endpoint: Endpoint, *, root: str, target: str) -> None:
        self._endpoint = endpoint
        self._target = target
        self._protocol = OpenAI()
        self._asked_at = replace(
            endpoint,
            protocol="openai",
            path=root + target.removeprefix("/v1"),
            options={"model": endpoint.options["model"]},
        )

    def write(self, file: IO[bytes], load: Load) -> None:
        """Write the questions as lines; raises InvalidStep where they are too many."""
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

    def read(self, line: bytes, load: Load) -> Finding | None:
        """What a line says; None of a question that was never asked."""
        told = self.parsed(line)
        name = self.text(told, "custom_id")
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
            status=int(number(answer.get("status_code"))),
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

    def failure(self, job_id: str, batch: Mapping[str, Any]) -> BackbeatError:
        """Why a batch failed; the error says if a retry can help."""
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

    def parsed(self, text: bytes) -> Any:
        """An object of JSON; raises InvalidAnswer where it is none."""
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

    def text(self, found: Mapping[str, Any], name: str) -> str:
        """A member that is text; raises InvalidAnswer where it is none."""
        value = found.get(name)
        if isinstance(value, str) and value:
            return value
        raise InvalidAnswer(
            f"{self._endpoint.authority} answered without {name!r}.",
            hint="look whether the address is that of a Batch API",
        )


def number(value: Any) -> float:
    """A number, 0 where it is none."""
    return float(value) if isinstance(value, (int, float)) else 0.0
