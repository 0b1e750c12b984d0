"""A job server for tests: OpenAI's Batch API over real HTTP on the loopback address, with faults.

It keeps to the protocol's documents: files go up as `multipart/form-data`, a batch is validated,
worked off, and ends with a file of answers and one of errors, in no order that means anything.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from backbeat.testing.loopback import on_loopback

__all__ = ["BatchServer", "batch_server"]

_ENDPOINTS = {"/v1/chat/completions", "/v1/embeddings"}
_OVER = {"completed", "failed", "expired", "cancelled"}
_COURSE = {"validating": "in_progress", "in_progress": "finalizing", "finalizing": "completed"}
_MOST_PAIRS, _LONGEST_NAME, _LONGEST_VALUE = 16, 64, 512


def _shout(body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """What the model answers where a test does not care: the prompt in capital letters."""
    if "input" in body:
        vectors = [[float(len(text)), 1.0] for text in body["input"]]
        return 200, {
            "object": "list",
            "model": body["model"],
            "data": [
                {"object": "embedding", "index": at, "embedding": vector}
                for at, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": len(vectors), "total_tokens": len(vectors)},
        }
    said = body["messages"][-1]["content"].upper()
    return 200, {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "system_fingerprint": "fp_double",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": said, "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


@dataclass
class BatchServer:
    """Answers batches, and remembers what became of them.

    Args:
        port: Where it listens, on 127.0.0.1.
        secret: The bearer that it wants; empty for none.
        answer: Status and body of the answer to a request's body.
        held: A batch goes no further than `in_progress`.
        expires_after: The next batches expire after so many answers each.
        invalid: Codes with which the next batches fail their validation.
        failing: Statuses of the next answers to anything, each with its headers.
        lost: So many next batches are started without an answer that tells of it.
        cut: So many next files are sent by half.
        forgetful: It lists batches without their metadata, as some proxies do.
        files: Content by id.
        batches: By id, in the order in which they were started.
        asked: Bodies of the requests of each batch, by its id.
        looks: How often each batch was asked about.
        headers: Of each request, in small letters.
        paths: Of each request, with its method.
    """

    port: int = 0
    secret: str = ""
    answer: Callable[[Mapping[str, Any]], tuple[int, dict[str, Any]]] = _shout
    held: bool = False
    expires_after: list[int] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    failing: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    lost: int = 0
    cut: int = 0
    forgetful: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def address(self) -> str:
        """The address of its model `small`."""
        return f"openai-batch+http://127.0.0.1:{self.port}/v1/batches?model=small"

    @property
    def states(self) -> list[str]:
        """Of all batches, in the order in which they were started."""
        return [batch["status"] for batch in self.batches.values()]

    def application(self) -> web.Application:
        """The API's routes."""
        app = web.Application(client_max_size=2**28, middlewares=[self._guarded])
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{id}/content", self._content)
        app.router.add_post("/v1/batches", self._create)
        app.router.add_get("/v1/batches", self._list)
        app.router.add_get("/v1/batches/{id}", self._show)
        app.router.add_post("/v1/batches/{id}/cancel", self._cancel)
        return app

    @web.middleware  # type: ignore[untyped-decorator]
    async def _guarded(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.paths.append(f"{request.method} {request.path}")
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.secret and request.headers.get("authorization") != f"Bearer {self.secret}":
            return _error(401, "Incorrect API key provided", "invalid_api_key")
        if self.failing:
            status, headers = self.failing.pop(0)
            return web.Response(status=status, headers=headers, text="ordered by the test")
        found: web.StreamResponse = await handler(request)
        return found

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        sent = form.get("file")
        if form.get("purpose") != "batch" or not isinstance(sent, web.FileField):
            return _error(400, "purpose must be batch, and file a file", "invalid_request")
        name = f"file-{next(self._numbers)}"
        self.files[name] = sent.file.read()
        return web.json_response(
            {
                "id": name,
                "object": "file",
                "purpose": "batch",
                "filename": sent.filename,
                "bytes": len(self.files[name]),
                "created_at": int(time.time()),
                "status": "processed",
            }
        )

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        metadata = asked.get("metadata") or {}
        if (
            asked.get("input_file_id") not in self.files
            or asked.get("endpoint") not in _ENDPOINTS
            or asked.get("completion_window") != "24h"
            or len(metadata) > _MOST_PAIRS
            or any(len(name) > _LONGEST_NAME for name in metadata)
            or any(len(value) > _LONGEST_VALUE for value in metadata.values())
        ):
            return _error(400, "this is no batch", "invalid_request")
        name = f"batch_{next(self._numbers)}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "errors": None,
            "input_file_id": asked["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": int(time.time()),
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": metadata,
        }
        if self.lost:
            self.lost -= 1
            assert request.transport is not None  # noqa: S101 - it has just spoken
            request.transport.close()
        return web.json_response(self.batches[name])

    async def _list(self, request: web.Request) -> web.Response:
        newest = list(self.batches.values())[::-1]
        after = request.query.get("after")
        if after:
            newest = newest[[batch["id"] for batch in newest].index(after) + 1 :]
        page = newest[: int(request.query.get("limit", "20"))]
        if self.forgetful:
            page = [{**batch, "metadata": None} for batch in page]
        more = len(page) < len(newest)
        return web.json_response({"object": "list", "data": page, "has_more": more})

    async def _show(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        batch = self.batches.get(name)
        if batch is None:
            return _error(404, f"No batch found with id '{name}'.", "not_found")
        self.looks[name] = self.looks.get(name, 0) + 1
        self._moved(batch)
        return web.json_response(batch)

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return _error(404, "No such batch.", "not_found")
        if batch["status"] in _OVER:
            return _error(409, f"Cannot cancel a batch that is {batch['status']}.", "conflict")
        batch["status"] = "cancelling"
        return web.json_response(batch)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        content = self.files.get(request.match_info["id"])
        if content is None:
            return _error(404, "No such File object.", "not_found")
        if self.cut:
            self.cut -= 1
            answer = web.StreamResponse(headers={"content-length": str(len(content))})
            await answer.prepare(request)
            await answer.write(content[: len(content) // 2])
            assert request.transport is not None  # noqa: S101 - it has just spoken
            request.transport.close()
            return answer
        return web.Response(body=content, content_type="application/octet-stream")

    def _moved(self, batch: dict[str, Any]) -> None:
        """One step further on its way."""
        if batch["status"] == "validating":
            self._validate(batch)
        elif batch["status"] == "cancelling":
            self._answered(batch, most=batch["request_counts"]["total"] // 2, code="cancelled")
        elif batch["status"] == "in_progress" and self.expires_after:
            self._answered(batch, most=self.expires_after.pop(0), code="expired")
        elif batch["status"] in _COURSE and not self.held:
            batch["status"] = _COURSE[batch["status"]]
            if batch["status"] == "completed":
                self._answered(batch, most=None, code="completed")

    def _validate(self, batch: dict[str, Any]) -> None:
        lines = self.files[batch["input_file_id"]].splitlines()
        asked = [json.loads(line) for line in lines]
        names = [line["custom_id"] for line in asked]
        if self.invalid:
            code = self.invalid.pop(0)
        elif not names or len(set(names)) < len(names):
            code = "duplicate_custom_id"
        elif {(line["method"], line["url"]) for line in asked} != {("POST", batch["endpoint"])}:
            code = "invalid_url"
        else:
            batch["status"] = "in_progress"
            batch["request_counts"]["total"] = len(asked)
            self.asked[batch["id"]] = [line["body"] for line in asked]
            return
        batch["status"] = "failed"
        error = {"code": code, "message": f"ordered by the test: {code}", "line": 1, "param": None}
        batch["errors"] = {"object": "list", "data": [error]}

    def _answered(self, batch: dict[str, Any], *, most: int | None, code: str) -> None:
        asked = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        good: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        for number, line in enumerate(asked):
            told = {"id": f"batch_req_{number}", "custom_id": line["custom_id"]}
            if most is not None and number >= most:
                error = {"code": f"batch_{code}", "message": "it was not executed in time"}
                bad.append({**told, "response": None, "error": error})
                continue
            status, body = self.answer(line["body"])
            answer = {"status_code": status, "request_id": f"req_{number}", "body": body}
            (good if status < 400 else bad).append(  # noqa: PLR2004 - HTTP's first error
                {**told, "response": answer, "error": None}
            )
        batch["status"] = code
        total, answered = len(asked), len(good)
        counts = {"total": total, "completed": answered, "failed": total - answered}
        batch["request_counts"] = counts
        for name, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                batch[name] = f"file-{next(self._numbers)}"
                # backwards: their order is not that of the questions
                self.files[batch[name]] = b"".join(
                    json.dumps(line).encode() + b"\n" for line in reversed(lines)
                )


def _error(status: int, message: str, code: str) -> web.Response:
    told = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": told}, status=status)


@contextmanager
def batch_server() -> Iterator[BatchServer]:
    """Run one in a thread of its own."""
    server = BatchServer()
    with on_loopback(server.application()) as server.port:
        yield server
