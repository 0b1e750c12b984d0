from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backbeat import Actor
from backbeat.errors import Conflict, LedgerIncompatible, NotFound, StorageFull
from backbeat.ledger import SqliteLedger, open_ledger
from backbeat.ledger.backup import back_up, restore
from backbeat.ledger.sql import SqlLedger
from backbeat.ports import AuditFact, Budget, Ending, Message

Make = Callable[..., Any]
FACT = AuditFact("test", "ok", Actor(id="ana", method="cli"), {})


@pytest.fixture
def filled(ledger: SqlLedger, claim_of: Make, done: Ending) -> SqlLedger:
    """A ledger with a row of every kind."""
    ledger.claim(claim_of("sha256:one"))
    ledger.finish("sha256:one", 1, done)
    ledger.claim(claim_of("sha256:two"))
    ledger.append(
        "s", [("x", {"ä": 1})], category="c", expected=0, state="open", due=None, audit=[FACT],
        messages=[Message("m-2", "event", {"n": 2})],
    )  # fmt: skip
    ledger.spend(Budget("b", capacity=3), cost=1)
    ledger.acquire("l", holder="a|elsewhere:boot/1/1", seconds=60)
    return ledger


@pytest.mark.parametrize("goal", ["sqlite", "postgres"])
def test_a_backup_restores_into_either_database(
    filled: SqlLedger, goal: str, tmp_path: Path, new_database: Make, claim_of: Make
) -> None:
    """Every row comes back as it was, and the restored ledger goes on where the old one stood."""
    counted = back_up(filled, tmp_path / "copy.db")
    assert counted["backbeat_runs"] == 2
    assert counted["backbeat_audit_log"] == 4
    where = str(tmp_path / "new.db") if goal == "sqlite" else new_database()
    with closing(open_ledger(where)) as restored:  # type: ignore[type-var]
        assert restore(restored, tmp_path / "copy.db") == counted  # type: ignore[arg-type]
        ours, theirs = restored.check(), filled.check()
        for facts in (ours, theirs):
            del facts["ledger"], facts["now"]
        assert ours == theirs
        assert restored.runs() == filled.runs()
        assert restored.read("s") == filled.read("s")
        restored.finish("sha256:two", 1, Ending(state="done", outcome={"status": "done"}))
        restored.claim(claim_of("sha256:three"))
        assert restored.check()["audit_entries"] == 6
        assert restored.check()["audit_broken"] == []


def test_a_backup_is_one_sound_file(filled: SqlLedger, tmp_path: Path) -> None:
    """Nothing lies beside it, SQLite's own check is content, and it never replaces a file."""
    target = tmp_path / "copy.db"
    back_up(filled, target)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["copy.db"]
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    before = target.read_bytes()
    with pytest.raises(Conflict, match="never replaces a file"):
        back_up(filled, target)
    assert target.read_bytes() == before


def test_a_backup_is_of_one_moment(
    ledger: SqlLedger, address: str, start_python: Make, tmp_path: Path
) -> None:
    """While others write, a backup holds either all of a transaction or nothing of it."""
    source = """
import sys
from backbeat import Actor
from backbeat.ledger import open_ledger
from backbeat.ports import AuditFact, Message
ledger = open_ledger(sys.argv[1])
number = 0
while True:
    fact = AuditFact("test", "ok", Actor(id="ana", method="cli"), {})
    ledger.append("s", [("x", {})], category="c", expected=number, state="s", due=None,
                  audit=[fact], messages=[Message(f"m-{number}", "event", {})])
    number += 1
    if number == 5:
        print("ready", flush=True)
"""
    writer = start_python(source, address)
    assert writer.stdout.readline() == "ready\n"
    counts = [back_up(ledger, tmp_path / f"copy-{number}.db") for number in range(3)]
    assert writer.poll() is None
    for counted in counts:
        assert (
            counted["backbeat_events"]
            == counted["backbeat_audit_log"]
            == counted["backbeat_outbox"]
        )
    assert counts[0]["backbeat_events"] >= 5


def test_only_an_empty_ledger_is_filled(filled: SqlLedger, tmp_path: Path, dump: Make) -> None:
    """A restore over records is refused by name and changes nothing."""
    back_up(filled, tmp_path / "copy.db")
    before = dump()
    with pytest.raises(Conflict, match=r"is not empty \(backbeat_\w+ has rows\)"):
        restore(filled, tmp_path / "copy.db")
    assert dump() == before


def test_a_ledger_in_use_can_be_read_like_a_backup(
    ledger: SqlLedger, tmp_path: Path, claim_of: Make
) -> None:
    """A SQLite ledger that others have open is read whole, with what only its log holds yet."""
    with closing(SqliteLedger(tmp_path / "live.db")) as live:
        live.claim(claim_of())
        assert (tmp_path / "live.db-wal").stat().st_size > 0
        assert restore(ledger, tmp_path / "live.db")["backbeat_runs"] == 1
        live.claim(claim_of("sha256:next"))
    assert [run.key for run in ledger.runs()] == ["sha256:work"]


def test_a_backup_needs_its_folder(filled: SqlLedger, tmp_path: Path) -> None:
    """A disk that is not mounted is named, and no folder is made in its place."""
    with pytest.raises(NotFound, match="there is no folder"):
        back_up(filled, tmp_path / "unmounted" / "copy.db")
    assert not (tmp_path / "unmounted").exists()


def test_what_is_no_backup_is_named(ledger: SqlLedger, tmp_path: Path, dump: Make) -> None:
    """A missing file, a text, a foreign database and a newer ledger are each refused."""
    before = dump()
    with pytest.raises(NotFound):
        restore(ledger, tmp_path / "absent.db")
    (tmp_path / "notes.db").write_text("these are notes, not a database " * 200)
    with pytest.raises(LedgerIncompatible, match=r"^notes\.db is no backup"):
        restore(ledger, tmp_path / "notes.db")
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")
    with pytest.raises(LedgerIncompatible, match="customers"):
        restore(ledger, tmp_path / "app.db")
    SqliteLedger(tmp_path / "newer.db").close()
    with closing(sqlite3.connect(tmp_path / "newer.db")) as connection:
        connection.execute("UPDATE backbeat_meta SET value = '99' WHERE name = 'schema_version'")
        connection.commit()
    with pytest.raises(LedgerIncompatible, match="newer backbeat"):
        restore(ledger, tmp_path / "newer.db")
    assert dump() == before
    assert [path.name for path in tmp_path.iterdir() if "unfinished" in path.name] == []


def test_no_room_for_the_backup(filled: SqlLedger, small_disk: Make, fill: Make) -> None:
    """On a full disk there is no half backup, and the error can pass."""
    disk = small_disk("64k")
    fill(disk)
    with pytest.raises(StorageFull) as caught:
        back_up(filled, disk / "copy.db")
    assert caught.value.retryable
    assert [path.name for path in disk.iterdir()] == ["filler"]


def test_anybody_can_read_a_backup(filled: SqlLedger, tmp_path: Path) -> None:
    """An auditor reads it with the standard library alone, years later."""
    back_up(filled, tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        bodies = connection.execute("SELECT body FROM backbeat_audit_log").fetchall()
    assert {json.loads(body)["format"] for (body,) in bodies} == {1}
