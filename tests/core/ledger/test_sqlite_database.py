from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import LedgerIncompatible, StorageFull
from backbeat.ledger import SqliteLedger, sqlite_database
from backbeat.ports import Claimed, Ending, Message

Make = Callable[..., Any]


@pytest.fixture
def address(tmp_path: Path) -> str:
    """What is said here is said of SQLite."""
    return str(tmp_path / "alone" / "ledger.db")


def test_every_connection_has_the_durable_settings(ledger: SqliteLedger) -> None:
    """WAL, synchronous=FULL and foreign keys hold on whatever connection writes."""
    with ledger._db.write() as tx:
        found = [
            tx.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["wal", 2, 1]


def test_what_is_not_a_database_is_refused_and_kept(tmp_path: Path) -> None:
    """A file of another kind is named and not overwritten."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"these are somebody's notes, not a database at all " * 100)
    before = path.read_bytes()
    with pytest.raises(LedgerIncompatible) as caught:
        SqliteLedger(path)
    assert caught.value.message == (
        "ledger.db is not a sound SQLite database: file is not a database"
    )
    assert path.read_bytes() == before


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """A path below a file is an error of ours, with the operating system's word for it."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageFull) as caught:
        SqliteLedger(tmp_path / "taken" / "ledger.db")
    assert "cannot be made: " in caught.value.message
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    """A path that is a folder cannot be opened, and says so."""
    with pytest.raises(StorageFull, match="cannot be opened: unable to open database file"):
        SqliteLedger(tmp_path)


def test_a_read_only_disk_is_named(small_disk: Make, claim_of: Make, folder_dump: Make) -> None:
    """On a disk that turned read-only nothing is recorded, and the error says that it can pass."""
    disk = small_disk("2m")
    with closing(SqliteLedger(disk / "ledger.db")) as ledger:
        ledger.claim(claim_of())
    before = folder_dump(disk)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StorageFull) as caught, closing(SqliteLedger(disk / "ledger.db")) as ledger:
        ledger.claim(claim_of("sha256:other"))
    assert caught.value.retryable
    assert caught.value.message.startswith("the ledger ")
    assert folder_dump(disk) == before


def test_a_full_disk_is_named_and_nothing_is_half_written(
    small_disk: Make, fill: Make, claim_of: Make
) -> None:
    """A disk that fills up before the finish makes it fail whole; with room again it works."""
    disk = small_disk("600k")
    big = Ending(
        state="done",
        outcome={"status": "done", "value": {"x": "y" * 100_000}},
        messages=[Message("m", "event", {})],
    )
    with closing(SqliteLedger(disk / "ledger.db")) as ledger:
        ledger.claim(claim_of())
        filler = fill(disk)
        with pytest.raises(StorageFull) as caught:
            ledger.finish("sha256:work", 1, big)
        assert "cannot be written: database or disk is full" in caught.value.message
        filler.unlink()
        assert ledger.runs()[0].state == "claimed"
        assert ledger.check()["outbox"] == 0
        ledger.finish("sha256:work", 1, big)
        assert ledger.runs()[0].state == "done"


def test_a_writer_waits_until_another_has_committed(ledger: SqliteLedger, claim_of: Make) -> None:
    """Who finds the ledger locked looks again until it is free, and then writes."""
    with closing(SqliteLedger(ledger.path)) as other, ThreadPoolExecutor(1) as threads:
        with other._db.write():
            waiting = threads.submit(ledger.claim, claim_of())
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.05)
        assert isinstance(waiting.result(timeout=30), Claimed)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Where the mount table says that a network lies between, no ledger is made."""
    table = tmp_path / "mounts"
    table.write_text(f"/dev/root / ext4 rw 0 0\nserver:/x {tmp_path}/share {kind} rw 0 0\n")

    class Mounts(type(Path())):  # type: ignore[misc]
        def __new__(cls, *parts: Any) -> Any:
            return Path(table) if parts == ("/proc/mounts",) else Path(*parts)

    monkeypatch.setattr(sqlite_database, "Path", Mounts)
    with pytest.raises(LedgerIncompatible, match=rf"lies on a network disk \({kind}\)"):
        SqliteLedger(tmp_path / "share" / "deep" / "ledger.db")
    assert not (tmp_path / "share").exists()
    with closing(SqliteLedger(tmp_path / "shared-not" / "ledger.db")) as ledger:
        assert ledger.check()["schema"] == 2


def test_a_forgotten_ledger_closes_its_file(tmp_path: Path) -> None:
    """A ledger that nobody closed gives its connections back when nobody holds it any more."""
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    assert path.with_name("ledger.db-wal").exists()
    del ledger
    gc.collect()
    assert [found.name for found in tmp_path.iterdir()] == ["ledger.db"]


def test_a_ledger_is_usable_on_both_sides_of_a_fork(tmp_path: Path, start_python: Make) -> None:
    """A child opens its own connection; the parent's log and its locks survive the child."""
    source = """
import os, sys
from backbeat.ledger import SqliteLedger
from backbeat.ports import AuditFact
from backbeat.identity import Actor
ledger = SqliteLedger(sys.argv[1])
def append(name):
    ledger.append(name, [("made", {})], category="c", expected=0, state="s", due=None, audit=[])
append("parent-before")
child = os.fork()
if child == 0:
    append("child")
    import gc; gc.collect()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
wal = os.stat(sys.argv[1] + "-wal").st_ino  # the child did not end the parent's log
append("parent-after")
assert os.stat(sys.argv[1] + "-wal").st_ino == wal
print(sorted(item.stream for item in ledger.streams("c")))
"""
    process = start_python(source, tmp_path / "ledger.db")
    out, errors = process.communicate(timeout=60)
    assert out == "['child', 'parent-after', 'parent-before']\n", errors
