"""A model server for tests: real HTTP on the loopback address, KServe's V1, and faults to order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

__all__ = ["ModelServer", "model_server"]


@dataclass
class ModelServer:
    """Answers a row with so many times its x, and remembers what it was asked.

    Args:
        port: Where it listens, on 127.0.0.1.
        version: The version that it says it has; empty for none.
        versions: What it says instead the next times, as one that is replaced meanwhile does.
        factor: What an x is multiplied by.
        sure: How sure it is of the answer to an x, 0 to 1; None does not say.
        failing: Statuses of the next answers, each with its headers; then it is well.
        fails_after: After so many requests it answers 500; None never does.
        refused: It answers 400 to a request that holds one of these.
        seconds: How long an answer takes.
        held: Answers wait while it is not set.
        asked: The rows of each request.
        headers: The headers of each request, in small letters.
        under_way: Requests that wait for their answer.
        highest: The most that did at a time.
    """

    port: int = 0
    version: str = ""
    versions: list[str] = field(default_factory=list)
    factor: float = 2
    sure: Callable[[float], float] | None = None
    failing: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    fails_after: int | None = None
    refused: set[float] = field(default_factory=set)
    seconds: float = 0.0
    held: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[list[float]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    under_way: int = 0
    highest: int = 0

    @property
    def address(self) -> str:
        """The model's address."""
        return f"kserve-v1+http://127.0.0.1:{self.port}/v1/models/double"

    async def ready(self, _: web.Request) -> web.Response:
        """The model is there."""
        found: dict[str, Any] = {"name": "double", "ready": "True"}
        version = self.versions.pop(0) if self.versions else self.version
        if version:
            states = [{"version": version, "state": "AVAILABLE"}]
            found["model_version_status"] = states
        return web.json_response(found)

    async def predict(self, request: web.Request) -> web.Response:
        """Twice x, or the next fault."""
        rows = [
            row[0] if isinstance(row, list) else row for row in (await request.json())["instances"]
        ]
        self.asked.append(rows)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.under_way += 1
        self.highest = max(self.highest, self.under_way)
        try:
            await self.held.wait()
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        if self.failing:
            status, headers = self.failing.pop(0)
            return web.Response(status=status, headers=headers, text="ordered by the test")
        if self.fails_after is not None and len(self.asked) > self.fails_after:
            return web.Response(status=500)
        if self.refused & set(rows):
            return web.json_response({"error": "such an x cannot be"}, status=400)
        answers: list[Any] = [self.factor * x for x in rows]
        if self.sure is not None:
            answers = [{"score": self.factor * x, "confidence": self.sure(x)} for x in rows]
        return web.json_response({"predictions": answers})


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """Run one in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = ModelServer()
    server.held.set()

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=2**26)
        app.router.add_get("/v1/models/double", server.ready)
        app.router.add_post("/v1/models/double:predict", server.predict)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server.held.set)
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
