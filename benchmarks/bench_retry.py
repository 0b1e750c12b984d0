"""A retry storm on loopback: what three ways to retry send, and how a server recovers from them.

`python benchmarks/bench_retry.py [--seconds 60]`: 200 clients want one call a second each from a
server that answers at most 300 a second and queues the rest. For so many seconds it fails half of
what it answers, then it is well again. Each arm has a server and clients of its own; the three run
at once, so that a slow moment of the machine meets all of them.

none        each call is sent once
naive       up to three more times, at once
client      `backbeat.inference.InferenceClient` as it comes, to a model of KServe's V1: limit and
            breaker too, over the same ledger
backbeat    `backbeat.retries.acall`: full jitter, and an endpoint budget in a SQLite ledger that
            the two processes of its clients share

Sent / wanted counts the calls that were wanted while the server failed. Recovery is the time from
the end of the fault to the first second in which at least 99% of the calls that end are answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path
from random import SystemRandom

from rich.console import Console
from rich.table import Table

from backbeat.errors import Unreachable
from backbeat.ledger import open_ledger
from backbeat.retries import EndpointBudget, acall

CLIENTS = 200
PROCESSES = 2
CAPACITY = 300.0
FAILING = 0.5
TIME_OUT = 1.0
WARM_UP = 2.0
AFTER = 5.0
RESOLUTION = 0.1
TARGET_RATIO = 1.1
CHANCE = SystemRandom()
ARMS = ("none", "naive", "backbeat", "client")
_GOOD = b'{"name": "m", "predictions": [0.5]}'


@dataclass(frozen=True)
class Call:
    """One wanted call: when it began and ended, how often it was sent, and whether it went well."""

    began: float
    ended: float
    sent: int
    answered: bool


def serve(port: Connection, failing: Synchronized[float]) -> None:
    """Answer HTTP requests in their order, so many a second, until the process is ended."""

    async def run() -> None:
        free_at = 0.0
        loop = asyncio.get_running_loop()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal free_at
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    model = b"/v1/models/" in head
                    if head.startswith(b"POST"):
                        size = head.lower().partition(b"content-length:")[2].split()[0]
                        await reader.readexactly(int(size))
                    # a request that its client has given up still takes its turn
                    free_at = max(free_at, loop.time()) + 1 / CAPACITY
                    await asyncio.sleep(free_at - loop.time())
                    status = b"503 -" if CHANCE.random() < failing.value else b"200 OK"
                    body = _GOOD if model and status.startswith(b"200") else b""
                    kind = b"\r\nContent-Type: application/json" if body else b""
                    size = str(len(body)).encode()
                    writer.write(b"HTTP/1.1 " + status + kind + b"\r\nContent-Length: " + size)
                    writer.write(b"\r\n\r\n" + body)
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class Line:
    """A client's connection; opened anew after a time-out."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.sent = 0

    async def send(self, seconds: float) -> None:
        """One request; raises Unreachable for a 503, a time-out or a broken connection."""
        self.sent += 1
        try:
            async with asyncio.timeout(min(TIME_OUT, seconds)):
                if self._ends is None:
                    self._ends = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._ends
                writer.write(b"GET / HTTP/1.1\r\nHost: loopback\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Unreachable("no answer") from error
        if b" 200 " not in head.splitlines()[0] + b" ":
            raise Unreachable("the server failed")

    def close(self) -> None:
        """Forget the connection."""
        if self._ends is not None:
            self._ends[1].close()
            self._ends = None


_line: ContextVar[Line] = ContextVar("line")


def way(arm: str, port: int, ledger: Path) -> Callable[[Line], Awaitable[None]]:
    """How an arm sends one wanted call."""
    if arm == "client":
        return whole_client(port, ledger)
    if arm == "backbeat":
        shared = open_ledger(str(ledger))
        budget = EndpointBudget(f"http://127.0.0.1:{port}", lambda: shared)

        async def budgeted(line: Line) -> None:
            await acall(line.send, budget=budget, deadline_seconds=10)

        return budgeted

    async def at_once(line: Line) -> None:
        more = 3 if arm == "naive" else 0
        while True:
            try:
                return await line.send(TIME_OUT)
            except Unreachable:
                if not more:
                    raise
                more -= 1

    return at_once


def whole_client(port: int, ledger: Path) -> Callable[[Line], Awaitable[None]]:
    """The client of a process; a call's requests are counted where it is about to send them."""
    import pyarrow as pa

    from backbeat.inference import InferenceClient, Resilience

    async def count() -> None:
        _line.get().sent += 1

    rows = pa.record_batch({"x": [1.0]})
    shared = open_ledger(str(ledger))
    policy = Resilience(deadline_seconds=10, attempt_seconds=TIME_OUT, in_flight=CLIENTS)
    client = InferenceClient(
        f"kserve-v1+http://127.0.0.1:{port}/v1/models/m",
        resilience=policy,
        shared=lambda: shared,
        before_call=count,
    )

    async def asked(line: Line) -> None:
        _line.set(line)
        await client.predict(rows)

    return asked


def want(
    arm: str, port: int, ledger: Path, ready: Barrier, seconds: float, results: Connection
) -> None:
    """A process of clients; hands its calls over when the time is up."""
    send_one = way(arm, port, ledger)
    calls: list[Call] = []

    async def client() -> None:
        line = Line(port)
        due = time.monotonic() + CHANCE.random()
        end = due + seconds
        while due < end:
            await asyncio.sleep(due - time.monotonic())
            began, before = time.monotonic(), line.sent
            try:
                await send_one(line)
                answered = True
            except Unreachable:
                answered = False
            ended = time.monotonic()
            calls.append(Call(began, ended, line.sent - before, answered))
            due = max(due + 1.0, ended)
        line.close()

    async def run() -> None:
        await asyncio.gather(*(client() for _ in range(CLIENTS // PROCESSES)))

    ready.wait()
    asyncio.run(run())
    results.send(calls)


@dataclass
class Arm:
    """One arm's calls, and what can be read off them."""

    name: str
    calls: Sequence[Call]
    fault: tuple[float, float]

    @property
    def wanted(self) -> list[Call]:
        """The calls that were wanted while the server failed."""
        return [call for call in self.calls if self.fault[0] <= call.began < self.fault[1]]

    @property
    def ratio(self) -> float:
        """Calls sent for each that was wanted."""
        return sum(call.sent for call in self.wanted) / len(self.wanted)

    @property
    def answered(self) -> float:
        """The share of wanted calls that went well."""
        return sum(call.answered for call in self.wanted) / len(self.wanted)

    @property
    def recovery(self) -> float:
        """Seconds from the end of the fault to the first good second; all there are if none."""
        end = self.fault[1]
        for step in range(int((AFTER - 1) / RESOLUTION)):
            start = end + step * RESOLUTION
            ended = [call.answered for call in self.calls if start <= call.ended < start + 1]
            if ended and sum(ended) >= 0.99 * len(ended):
                return step * RESOLUTION
        return AFTER - 1


def play(seconds: float, folder: Path) -> list[Arm]:
    """All arms at once, each with its server and its clients."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(len(ARMS) * PROCESSES + 1)
    servers, clients, faults = [], [], []
    results: dict[str, list[Connection]] = {name: [] for name in ARMS}
    try:
        for name in ARMS:
            failing = context.Value("d", 0.0)
            faults.append(failing)
            here, there = context.Pipe(duplex=False)
            servers.append(context.Process(target=serve, args=(there, failing), daemon=True))
            servers[-1].start()
            port = here.recv()
            for _ in range(PROCESSES):
                here, there = context.Pipe(duplex=False)
                whole = WARM_UP + seconds + AFTER
                given = (name, port, folder / "ledger.db", ready, whole, there)
                clients.append(context.Process(target=want, args=given, daemon=True))
                clients[-1].start()
                results[name].append(here)
        ready.wait()
        time.sleep(WARM_UP)
        began = time.monotonic()
        for failing in faults:
            failing.value = FAILING
        time.sleep(seconds)
        ended = time.monotonic()
        for failing in faults:
            failing.value = 0.0
        return [
            Arm(name, [call for end in ends for call in end.recv()], (began, ended))
            for name, ends in results.items()
        ]
    finally:
        for process in (*servers, *clients):
            process.terminate()
            process.join()


def report(arms: Sequence[Arm], seconds: float) -> None:
    """A table for people, then one JSON line a figure."""
    table = Table(
        *("arm", "wanted", "sent / wanted", "answered", "median ms", "recovery s"),
        title=f"{CLIENTS} clients, a server that fails {FAILING:.0%} for {seconds:g} s",
    )
    for arm in arms:
        median = statistics.median(call.ended - call.began for call in arm.wanted) * 1000
        figures = (f"{arm.ratio:.3f}", f"{arm.answered:.1%}", f"{median:.1f}")
        table.add_row(arm.name, str(len(arm.wanted)), *figures, f"{arm.recovery:.1f}")
    Console().print(table)
    none, naive, backbeat, client = arms
    ratio, recovery = round(backbeat.ratio, 4), round(backbeat.recovery, 1)
    slowest = round(none.recovery + RESOLUTION, 1)  # no slower, as far as this clock can tell
    for name, value, unit, target, ok in (
        ("retry.sent_to_wanted", ratio, "ratio", TARGET_RATIO, ratio <= TARGET_RATIO),
        ("retry.recovery", recovery, "s", slowest, recovery <= slowest),
        (
            "retry.client_sent_to_wanted",
            round(client.ratio, 4),
            "ratio",
            TARGET_RATIO,
            client.ratio <= TARGET_RATIO,
        ),
        (
            "retry.client_recovery",
            round(client.recovery, 1),
            "s",
            slowest,
            client.recovery <= slowest,
        ),
        ("retry.client_answered", round(client.answered, 4), "ratio", None, True),
        ("retry.naive_sent_to_wanted", round(naive.ratio, 4), "ratio", None, True),
        ("retry.naive_recovery", round(naive.recovery, 1), "s", None, True),
    ):
        print(
            json.dumps({"figure": name, "value": value, "unit": unit, "target": target, "ok": ok})
        )


def main() -> None:
    """Play the storm and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the server fails")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix=".bench-retry-", dir=Path()) as folder:
        report(play(seconds, Path(folder)), seconds)


if __name__ == "__main__":
    main()
