"""The connection to SQLite: WAL, synchronous=FULL, short BEGIN IMMEDIATE, opened after a fork."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

from backbeat.errors import LedgerIncompatible, StorageFull, Unreachable
from backbeat.ledger.batch import Statements
from backbeat.ledger.pooled import PooledDatabase
from backbeat.ledger.tables import meta

__all__ = ["SqliteDatabase"]

_BUSY_SECONDS = 30
# between two looks at a lock that another process holds: the first, and from the third on
_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.001, 0.004
_WATCH_SECONDS = 0.25
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "fuse.sshfs"}


class SqliteDatabase(PooledDatabase):
    """One SQLite file, shared by the threads of a process and safe across forks.

    Args:
        path: The file; its folder is created.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        _refuse_network_disk(path)

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    def now(self) -> datetime:
        """This host's clock: every process that shares the file has the same."""
        return datetime.now(UTC)

    def batch(self, statements: Statements) -> bool:
        """Perform the first statement, and where it changed a row the others, in one commit."""
        dialect = self._open().dialect
        # bound before the lock is taken: all other processes wait while it is held
        (decides, values), *others = [one.bound(dialect, given) for one, given in statements]
        with self.write() as tx:
            cursor = tx.connection.cursor()
            if not cursor.execute(decides, values).rowcount:
                return False
            for text, values in others:
                cursor.execute(text, values)
        return True

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its first moment."""
        with self._translated(), self._open().connect() as connection:
            _begin_immediate(_driver_of(connection))
            with connection.begin():
                yield connection

    def announce(self, tx: Connection) -> None:
        """Nothing to do: SQLite counts the commits of others."""

    def watch(self, *, seconds: float) -> bool:
        """Wait until somebody else has committed, at most so long; False where time was up."""
        end = time.monotonic() + seconds
        # outside any transaction: within one nothing ever changes
        with self._translated(), closing(sqlite3.connect(self.path)) as connection:
            before = connection.execute("PRAGMA data_version").fetchone()
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(left, _WATCH_SECONDS))
                if connection.execute("PRAGMA data_version").fetchone() != before:
                    return True
        return False

    def _new_engine(self) -> Engine:
        return _engine(self.path)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (exc.DatabaseError, sqlite3.DatabaseError) as error:
            reason = str(error.orig if isinstance(error, exc.DatabaseError) else error)
            if "full" in reason or "readonly" in reason or "disk I/O" in reason:
                raise StorageFull(
                    f"the ledger {self.path.name} cannot be written: {reason}",
                    hint="free space on, or make writable, the disk that holds the ledger",
                ) from error
            if "locked" in reason or "busy" in reason:
                raise Unreachable(
                    f"the ledger {self.path.name} was locked for {_BUSY_SECONDS} s",
                    hint="find the process that holds it open (fuser), or move to PostgreSQL",
                    retry_after=5,
                ) from error
            if "not a database" in reason or "malformed" in reason:
                raise LedgerIncompatible(
                    f"{self.path.name} is not a sound SQLite database: {reason}",
                    hint="restore the ledger from its last backup, or choose another path",
                ) from error
            if "unable to open" in reason:
                raise StorageFull(
                    f"the ledger {self.path} cannot be opened: {reason}",
                    hint="make its folder exist and be writable for this user",
                ) from error
            raise


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        future=True,
        poolclass=QueuePool,
        pool_size=2,
        pool_use_lifo=True,  # the same connection again: another one would find its cache stale
        connect_args={"check_same_thread": False, "timeout": _BUSY_SECONDS},
    )

    @event.listens_for(engine, "connect")  # type: ignore[untyped-decorator]
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        if not _is_foreign(connection):  # what is not ours stays as it is, to the last byte
            _enter_wal(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")  # type: ignore[untyped-decorator]
    def _begin(connection: Connection) -> None:
        driver = _driver_of(connection)
        if not driver.in_transaction:  # else it is one that writes, and has the lock
            driver.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
            driver.execute("BEGIN")

    return engine


def _driver_of(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _begin_immediate(connection: sqlite3.Connection) -> None:
    # SQLite itself waits longer and longer, up to 100 ms, and meanwhile others take the lock again
    # and again: looking for it at an even pace gives every process the same chance, and a slower
    # pace than a commit's leaves the processor to the one that holds it
    end = time.monotonic() + _BUSY_SECONDS
    pause = _POLL_SECONDS
    cursor = connection.execute("PRAGMA busy_timeout=0")
    while True:
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > end:
                raise
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_POLL_SECONDS)
        else:
            return


def _is_foreign(connection: sqlite3.Connection) -> bool:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return bool(tables) and (meta.name,) not in tables


def _enter_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait, as it does elsewhere, when several processes open a fresh file and each
    # wants to change its mode: where that would be a deadlock, it says busy at once
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - jitter
        else:
            return


def _refuse_network_disk(path: Path) -> None:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return
    resolved = path.expanduser().resolve()
    best, kind = "", ""
    for line in mounts.read_text().splitlines():
        _, mount, filesystem, *_ = line.split(" ")
        inside = mount == "/" or resolved == Path(mount) or Path(mount) in resolved.parents
        if inside and len(mount) >= len(best):
            best, kind = mount, filesystem
    if kind in _NETWORK:
        raise LedgerIncompatible(
            f"the ledger {path} lies on a network disk ({kind}), where SQLite's locks do not hold",
            hint="put the ledger on a local disk",
        )
