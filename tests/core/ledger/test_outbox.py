from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from backbeat.errors import Unreachable
from backbeat.ledger.sql import SqlLedger
from backbeat.ledger.times import from_text
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


def _put(ledger: SqlLedger, *ids: str, topic: str = "event") -> None:
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


def _due_now(sql: Make) -> None:
    sql("UPDATE backbeat_outbox SET next_at = '2000-01-01T00:00:00.000000Z'")


def test_messages_leave_oldest_first_and_once(ledger: SqlLedger) -> None:
    """A drain delivers in order, up to its limit, and never the same again."""
    _put(ledger, "a", "b", "c")
    box = Box()
    assert ledger.drain({"event": box}, limit=2) == 2
    assert ledger.drain({"event": box}, limit=2) == 1
    assert ledger.drain({"event": box}, limit=2) == 0
    assert box.got == ["a", "b", "c"]


def test_a_topic_without_a_sink_waits(ledger: SqlLedger) -> None:
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
    ledger: SqlLedger, sql: Make, error: Exception, kept: str
) -> None:
    """It waits with a growing, jittered pause and keeps its reason; the others leave meanwhile."""
    _put(ledger, "a", "bad", "c")
    box = Box(bad=error)
    for tries in range(1, 6):
        _due_now(sql)
        ledger.drain({"event": box}, limit=10)
        [row] = sql("SELECT id, tries, error, next_at FROM backbeat_outbox")
        assert (row["id"], row["tries"], row["error"]) == ("bad", tries, kept)
        assert (from_text(row["next_at"]) - ledger.database.now()).total_seconds() <= 2**tries
    assert box.got == ["a", "c"]
    box.broken.clear()
    _due_now(sql)
    assert ledger.drain({"event": box}, limit=10) == 1
    assert ledger.check()["outbox"] == 0


def test_a_message_that_is_not_due_waits(ledger: SqlLedger, sql: Make) -> None:
    """Before its next moment nothing is tried."""
    _put(ledger, "a")
    sql("UPDATE backbeat_outbox SET next_at = '2999-01-01T00:00:00.000000Z'")
    assert ledger.drain({"event": Box()}, limit=10) == 0


def test_two_drainers_deliver_every_message_once(
    ledger: SqlLedger, address: str, start_python: Make
) -> None:
    """Processes that drain at the same time share the messages between them."""
    names = [f"m-{number:03}" for number in range(200)]
    _put(ledger, *names)
    source = """
import sys
from backbeat.ledger import open_ledger
class Out:
    def deliver(self, message): print(message.id)
ledger = open_ledger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while ledger.drain({"event": Out()}, limit=7):
    pass
"""
    processes = [start_python(source, address) for _ in range(2)]
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


def test_what_a_killed_drainer_held_leaves_later(
    ledger: SqlLedger, address: str, start_python: Make, sql: Make
) -> None:
    """A drainer that dies between taking and delivering delays its messages, and loses none."""
    _put(ledger, "a", "b")
    source = """
import os, sys
from backbeat.ledger import open_ledger
class Deadly:
    def deliver(self, message): os.kill(os.getpid(), 9)
open_ledger(sys.argv[1]).drain({"event": Deadly()}, limit=10)
"""
    process = start_python(source, address)
    process.communicate(timeout=60)
    assert process.returncode == -9
    box = Box()
    assert ledger.drain({"event": box}, limit=10) == 0
    _due_now(sql)  # its hold has run out
    assert ledger.drain({"event": box}, limit=10) == 2
    assert box.got == ["a", "b"]


def test_a_receivers_retry_after_is_kept(ledger: SqlLedger, sql: Make) -> None:
    """A message is not tried again before its receiver wants it."""
    _put(ledger, "bad")
    ledger.drain({"event": Box(bad=Unreachable("busy", retry_after=500))}, limit=10)
    [row] = sql("SELECT next_at FROM backbeat_outbox")
    assert (from_text(row["next_at"]) - ledger.database.now()).total_seconds() > 490


def test_a_slow_receiver_is_left_before_the_hold_ends(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be tried in half of the hold is left to the next drain, and sent once."""
    _put(ledger, "a", "b", "c")

    class Slow(Box):
        def deliver(self, message: Message) -> None:
            super().deliver(message)
            # as much time has gone as the hold allows
            monkeypatch.setattr("backbeat.ledger.outbox._HOLD_SECONDS", 0)

    box = Slow()
    assert ledger.drain({"event": box}, limit=10) == 1
    assert box.got == ["a"]
    assert ledger.check()["outbox"] == 2
