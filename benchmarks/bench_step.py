"""What the door adds to a step that does nothing, beside the commits that any record costs.

`python benchmarks/bench_step.py [FOLDER]`: FOLDER is on the disk to measure, by default a temporary
folder under the working directory. Three things are done in turn, a thousand times, so that a slow
moment of the disk meets all of them:

door        `run_step` of a step that returns `Done()`: both commits, SQLite at synchronous=FULL
bare        two commits of one small row, by the standard library's driver
same rows   two commits of the very rows that the door writes: same tables, same values

Delivering the outbox goes on in a thread beside the steps, and competes with them for the disk and
the write lock. It is off in the above, and on in a fourth, separate measurement (delivering).
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console
from rich.table import Table

from backbeat import Actor, Done, Outcome, Platform, RunIdentity, Step, embedded, run_step
from backbeat.ports import Need
from backbeat.runner.drain import drain_wait
from backbeat.step import StepContext

ROUNDS = 1000
WARM_UP = 50
TARGET_MILLISECONDS = 6.0
TARGET_RATIO = 2.0
TABLES = ("runs", "attempts", "outbox", "audit_log", "audit_private")
# what the finish writes over the rows of the claim
UPDATES = (
    (
        "UPDATE backbeat_runs SET state = ?, outcome = ?, request_id = ?, owner = NULL,"
        " lease_until = NULL, finished_at = ? WHERE key = ?"
    ),
    "UPDATE backbeat_attempts SET ended_at = ?, ending = ? WHERE key = ? AND token = ?",
)


class Nothing(Step):
    """A step that does nothing.

    Args:
        number: Tells one from another.
    """

    kind: ClassVar[str] = "bench.nothing/v1"
    needs: ClassVar[frozenset[Need]] = frozenset()

    number: int

    def perform(self, ctx: StepContext) -> Outcome:
        """Do nothing."""
        return Done()


def door(platform: Platform) -> Callable[[int], None]:
    """The step, through `run_step`."""
    actor = Actor(id="bench", method="python")

    def once(number: int) -> None:
        run = RunIdentity(workflow="bench", run=f"run-{number}", task="nothing", actor=actor)
        run_step(Nothing(number=number), run, platform)

    return once


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the ledger's settings."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def bare(path: Path) -> Callable[[int], None]:
    """Two commits of one small row."""
    connection = connect(path)
    connection.execute("CREATE TABLE small (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")

    def once(number: int) -> None:
        for half in ("start", "end"):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO small (text) VALUES (?)", (f"{number} {half}",))
            connection.execute("COMMIT")

    return once


class SameRows:
    """Two commits of the rows that the door has written for the same number.

    Args:
        source: The door's ledger, whose schema and rows are copied.
        path: The copy.
    """

    def __init__(self, source: Path, path: Path) -> None:
        self.source = sqlite3.connect(source, isolation_level=None)
        self.copy = connect(path)
        schema = self.source.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (statement,) in schema:
            self.copy.execute(statement)
        # as many rows before the first measured one as the door has
        for name in TABLES:
            for row in self.source.execute(f"SELECT * FROM backbeat_{name}"):  # noqa: S608
                self.insert(name, row)
        self.seen = {name: self._newest(name) for name in TABLES}

    def prepare(self) -> Callable[[], None]:
        """Read what the door wrote last, outside the measured time."""
        rows = {name: self._since(name) for name in TABLES}
        run, attempt = dict(rows["runs"][0]), dict(rows["attempts"][0])
        key, token = run["key"], attempt["token"]
        ends = (
            (run["state"], run["outcome"], run["request_id"], run["finished_at"], key),
            (attempt["ended_at"], attempt["ending"], key, token),
        )
        # the claim's rows: the same columns as at the start, the owner and the lease among them
        run |= {"state": "claimed", "outcome": None, "finished_at": None}
        run |= {"owner": attempt["owner"], "lease_until": run["started_at"]}
        attempt |= {"ended_at": None, "ending": None}
        claim = [("runs", tuple(run.values())), ("attempts", tuple(attempt.values()))]
        halves: tuple[list[tuple[str, tuple[Any, ...]]], ...] = (claim, [])
        for name in ("outbox", "audit_log", "audit_private"):
            for half, row in zip(halves, rows[name], strict=True):
                half.append((name, tuple(dict(row).values())))

        def once() -> None:
            for number, half in enumerate(halves):
                self.copy.execute("BEGIN IMMEDIATE")
                if number:
                    for statement, values in zip(UPDATES, ends, strict=True):
                        self.copy.execute(statement, values)
                for name, row in half:
                    self.insert(name, row)
                self.copy.execute("COMMIT")

        return once

    def insert(self, name: str, row: Iterable[Any]) -> None:
        """One row into the copy; the text is the same each time, so that SQLite prepares once."""
        values = tuple(row)
        marks = ", ".join("?" * len(values))
        self.copy.execute(f"INSERT INTO backbeat_{name} VALUES ({marks})", values)  # noqa: S608

    def _newest(self, name: str) -> int:
        query = f"SELECT max(rowid) FROM backbeat_{name}"  # noqa: S608
        return int(self.source.execute(query).fetchone()[0] or 0)

    def _since(self, name: str) -> list[list[tuple[str, Any]]]:
        query = f"SELECT * FROM backbeat_{name} WHERE rowid > ? ORDER BY rowid"  # noqa: S608
        found = self.source.execute(query, (self.seen[name],))
        columns = [column[0] for column in found.description]
        rows = [list(zip(columns, row, strict=True)) for row in found]
        self.seen[name] = self._newest(name)
        return rows


def timed(work: Callable[[], None]) -> float:
    """Milliseconds that a call takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def measure(folder: Path) -> dict[str, list[float]]:
    """Milliseconds of every round, by name."""
    platform = embedded(folder / "platform")
    platform.sinks = {}
    through_door, two_commits = door(platform), bare(folder / "bare.db")
    for number in range(WARM_UP):
        through_door(number)
        two_commits(number)
    same = SameRows(folder / "platform" / "ledger.db", folder / "same.db")
    found: dict[str, list[float]] = {"door": [], "bare": [], "same rows": []}
    for number in range(WARM_UP, WARM_UP + ROUNDS):
        found["door"].append(timed(lambda number=number: through_door(number)))  # type: ignore[misc]
        found["bare"].append(timed(lambda number=number: two_commits(number)))  # type: ignore[misc]
        found["same rows"].append(timed(same.prepare()))
    delivering = door(embedded(folder / "delivering"))
    found["delivering"] = [timed(lambda n=number: delivering(n)) for number in range(ROUNDS)]  # type: ignore[misc]
    drain_wait()
    return found


def report(found: dict[str, list[float]]) -> None:
    """A table for people, then one JSON line a figure."""
    medians = {name: statistics.median(values) for name, values in found.items()}
    table = Table("what", "median ms", "p90 ms", "door / this", title=f"{ROUNDS} rounds")
    for name, values in found.items():
        ninth = statistics.quantiles(values, n=10)[-1]
        ratio = medians["door"] / medians[name]
        table.add_row(name, f"{medians[name]:.3f}", f"{ninth:.3f}", f"{ratio:.2f}")
    Console().print(table)
    figures = (
        ("step.door", medians["door"], "ms", TARGET_MILLISECONDS),
        ("step.door_delivering", medians["delivering"], "ms", TARGET_MILLISECONDS),
        ("step.door_to_bare", medians["door"] / medians["bare"], "ratio", TARGET_RATIO),
        ("step.door_to_same_rows", medians["door"] / medians["same rows"], "ratio", TARGET_RATIO),
    )
    for name, value, unit, target in figures:
        figure = {"figure": name, "value": round(value, 3), "unit": unit, "target": target}
        print(json.dumps({**figure, "ok": value < target}))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    chosen = parser.parse_args().folder
    with tempfile.TemporaryDirectory(prefix=".bench-step-", dir=chosen) as folder:
        report(measure(Path(folder)))


if __name__ == "__main__":
    main()
