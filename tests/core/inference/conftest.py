from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from backbeat.data import FolderStore

ROWS = 95
FILES = 3


class Double:
    """Scores a row with twice its x, and remembers which rows it was given."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []

    def predict(self, frame: pd.DataFrame) -> Any:
        self.calls.append(frame["x"].tolist())
        return frame["x"].to_numpy() * 2


@pytest.fixture
def model() -> Double:
    """A model that counts."""
    return Double()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A real store."""
    return FolderStore(tmp_path / "store")


@pytest.fixture
def data(tmp_path: Path) -> ds.Dataset:
    """Ninety-five rows in three Parquet files, whose x is the row's number."""
    folder = tmp_path / "landing"
    folder.mkdir()
    table = pa.table(
        {
            "flight_id": [f"f{number}" for number in range(ROWS)],
            "x": [float(number) for number in range(ROWS)],
            "carrier": ["AA"] * ROWS,
        }
    )
    size = ROWS // FILES + 1
    for index in range(FILES):
        pq.write_table(table.slice(index * size, size), folder / f"{index}.parquet")
    files = sorted(folder.iterdir())
    return ds.dataset([ds.dataset(file) for file in files])


@dataclass
class ModelServer:
    """Answers a row with twice its x, and remembers what it was asked.

    Args:
        port: Where it listens.
    """

    port: int = 0
    asked: list[list[float]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    failing: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Statuses of the next answers, with their headers; then it is well."""
    refused: set[float] = field(default_factory=set)
    """It answers 400 to a request that holds one of these."""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers wait while it is not set."""
    version: str = ""
    factor: float = 2
    sure: Callable[[float], float] | None = None
    """How sure it is of an answer; it does not say where None."""
    fails_after: int | None = None
    seconds: float = 0.0
    under_way: int = 0
    highest: int = 0

    @property
    def address(self) -> str:
        """The model's address."""
        return f"kserve-v1+http://127.0.0.1:{self.port}/v1/models/double"

    async def ready(self, _: web.Request) -> web.Response:
        """The model is there."""
        found: dict[str, Any] = {"name": "double", "ready": "True"}
        if self.version:
            states = [{"version": self.version, "state": "AVAILABLE"}]
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


@pytest.fixture
def serving() -> Iterator[Callable[[], ModelServer]]:
    """Starts real model servers, which are ended with the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(model_server())


@pytest.fixture
def server(serving: Callable[[], ModelServer]) -> ModelServer:
    """A real model server."""
    return serving()
