from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import Unreachable
from backbeat.ledger import SqliteLedger
from backbeat.ledger.times import from_text, now
from backbeat.ports import Message

Make = Callable[..., Any]


class Box:
    """A sink that keeps what it gets, and breaks for the ids it is told."""

    def __init__(self, **broken: Exception) -> None:
        self.got: list[str] = []
        self.broken = broken

    def deliver(self, message: Message) -> None:
        if message.id in self.broken:
            raise self.broken[message.id]
        self.got.append(message.id)


def _put(ledger: SqliteLedger, *ids: str, topic: str = "event") -> None:
    ledger.append(
        f"stream-{'-'.join(ids)[:50]}",
        [("made", {})],
        category="c",
        expected=0,
        state="s",
        due=None,
        audit=[],
        messages=[Message(name, topic, {"id": name}) for name in ids],
    )


def _due_now(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE backbeat_outbox SET next_at = '2000-01-01T00:00:00.000000Z'")
        connection.commit()


def test_messages_leave_oldest_first_and_once(ledger: SqliteLedger) -> None:
    """A drain delivers in order, up to its limit, and never the same again."""
    _put(ledger, "a", "b", "c")
    box = Box()
    assert ledger.drain({"event": box}, limit=2) == 2
    assert ledger.drain({"event": box}, limit=2) == 1
    assert ledger.drain({"event": box}, limit=2) == 0
    assert box.got == ["a", "b", "c"]


def test_a_topic_without_a_sink_waits(ledger: SqliteLedger) -> None:
    """What nobody takes stays, and holds up nothing else."""
    _put(ledger, "a", topic="kafka")
    _put(ledger, "b")
    box = Box()
    assert ledger.drain({"event": box}, limit=10) == 1
    assert ledger.check()["outbox"] == 1


@pytest.mark.parametrize(
    ("error", "kept"),
    [(Unreachable("the broker is away"), "the broker is away"), (ValueError("x"), "ValueError")],
)
def test_a_failing_message_is_tried_again_later(
    ledger: SqliteLedger, rows: Make, error: Exception, kept: str
) -> None:
    """It waits with a growing, jittered pause and keeps its reason; the others leave meanwhile."""
    _put(ledger, "a", "bad", "c")
    box = Box(bad=error)
    for tries in range(1, 6):
        _due_now(ledger.path)
        ledger.drain({"event": box}, limit=10)
        [row] = rows(ledger.path, "SELECT id, tries, error, next_at FROM backbeat_outbox")
        assert (row["id"], row["tries"], row["error"]) == ("bad", tries, kept)
        assert (from_text(row["next_at"]) - now()).total_seconds() <= 2**tries
    assert box.got == ["a", "c"]
    box.broken.clear()
    _due_now(ledger.path)
    assert ledger.drain({"event": box}, limit=10) == 1
    assert ledger.check()["outbox"] == 0


def test_a_message_that_is_not_due_waits(ledger: SqliteLedger) -> None:
    """Before its next moment nothing is tried."""
    _put(ledger, "a")
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute("UPDATE backbeat_outbox SET next_at = '2999-01-01T00:00:00.000000Z'")
        connection.commit()
    assert ledger.drain({"event": Box()}, limit=10) == 0


def test_two_drainers_deliver_every_message_once(
    ledger: SqliteLedger, start_python: Make, tmp_path: Path
) -> None:
    """Processes that drain at the same time share the messages between them."""
    names = [f"m-{number:03}" for number in range(200)]
    _put(ledger, *names)
    source = """
import sys
from backbeat.ledger import SqliteLedger
class Out:
    def deliver(self, message): print(message.id)
ledger = SqliteLedger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while ledger.drain({"event": Out()}, limit=7):
    pass
"""
    processes = [start_python(source, ledger.path) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    delivered: Counter[str] = Counter()
    for process in processes:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        delivered.update(out.split())
    assert sorted(delivered) == names
    assert set(delivered.values()) == {1}


def test_what_a_killed_drainer_held_leaves_later(ledger: SqliteLedger, start_python: Make) -> None:
    """A drainer that dies between taking and delivering delays its messages, and loses none."""
    _put(ledger, "a", "b")
    source = """
import os, sys
from backbeat.ledger import SqliteLedger
class Deadly:
    def deliver(self, message): os.kill(os.getpid(), 9)
SqliteLedger(sys.argv[1]).drain({"event": Deadly()}, limit=10)
"""
    process = start_python(source, ledger.path)
    process.communicate(timeout=60)
    assert process.returncode == -9
    box = Box()
    assert ledger.drain({"event": box}, limit=10) == 0
    _due_now(ledger.path)  # its hold has run out
    assert ledger.drain({"event": box}, limit=10) == 2
    assert box.got == ["a", "b"]
