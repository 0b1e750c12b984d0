"""A copy of a ledger as one SQLite file, whichever database it came from or goes to."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.engine import Connection

from backbeat.errors import Conflict, LedgerIncompatible, NotFound, StorageFull
from backbeat.ledger.migrations import SCHEMA_VERSION, migrate, schema_of
from backbeat.ledger.sql import SqlLedger
from backbeat.ledger.sqlite import SqliteLedger
from backbeat.ledger.tables import audit_log, meta, metadata, outbox

__all__ = ["back_up", "restore"]

_ROWS = 1000
# in PostgreSQL a position is numbered by a sequence, which must go on behind the copied rows
_NUMBERED = (outbox, audit_log)
Progress = Callable[[int, int, str], None]


def back_up(ledger: SqlLedger, target: Path, *, progress: Progress | None = None) -> dict[str, int]:
    """Write a ledger to a new file, as it stood at one moment, while others go on working.

    Args:
        ledger: What is copied.
        target: A file that does not exist yet; it appears whole or not at all.
        progress: Told how many rows of a table are copied.

    Returns:
        How many rows each table has.

    Raises:
        NotFound: Its folder does not exist: perhaps a disk that is not mounted.
        Conflict: The file exists.
        StorageFull: There is no room for it.
    """
    target = target.expanduser().absolute()
    if not target.parent.is_dir():
        raise NotFound(
            f"there is no folder {target.parent}", hint="mount it or make it, then try again"
        )
    if target.exists():
        raise Conflict(
            f"{target} exists, and a backup never replaces a file", hint="choose another name"
        )
    unfinished = target.with_name(f".unfinished-{secrets.token_hex(8)}")
    try:
        with closing(SqliteLedger(unfinished)) as copy:
            with ledger.database.read() as source, copy.database.write() as sink:
                _one_moment(source)
                found = _copy(source, sink, progress)
            with copy.database.read() as view:  # one file, without a log beside it
                view.connection.cursor().execute("PRAGMA journal_mode=DELETE")
        _keep(unfinished)
        os.link(unfinished, target)  # unlike a rename, this refuses where the name was taken since
    except OSError as error:
        raise StorageFull(
            f"the backup {target} cannot be written: {error.strerror}",
            hint="choose a folder with room that this user can write to",
        ) from error
    finally:
        for leftover in target.parent.glob(f"{unfinished.name}*"):
            with suppress(OSError):
                leftover.unlink()
    return found


def restore(ledger: SqlLedger, source: Path, *, progress: Progress | None = None) -> dict[str, int]:
    """Fill an empty ledger from a backup, in one transaction.

    Args:
        ledger: A ledger in which nothing was recorded yet.
        source: What `back_up` wrote; a backup of an older schema is read too.
        progress: Told how many rows of a table are copied.

    Returns:
        How many rows each table has.

    Raises:
        NotFound: There is no such file.
        Conflict: The ledger is not empty; nothing was changed.
        LedgerIncompatible: The file is no backup that this version can read.
    """
    source = source.expanduser().absolute()
    if not source.is_file():
        raise NotFound(f"there is no backup {source}", hint="give the file of `ledger backup`")
    # a copy of the copy: an older one is brought forward, and the file itself stays as it is
    scratch = source.with_name(f".unfinished-{secrets.token_hex(8)}")
    try:
        _duplicate(source, scratch)
        with closing(SqliteLedger(scratch)) as backup:
            if migrate(backup.database) > SCHEMA_VERSION:
                raise LedgerIncompatible(
                    f"{source.name} was written by a newer backbeat", hint="upgrade backbeat first"
                )
            with backup.database.read() as view, ledger.database.write() as sink:
                _require_empty(sink, ledger)
                return _copy(view, sink, progress)
    finally:
        for leftover in source.parent.glob(f"{scratch.name}*"):
            with suppress(OSError):
                leftover.unlink()


def _duplicate(source: Path, scratch: Path) -> None:
    # through SQLite, which also reads what lies in the log beside a ledger that is in use
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as original,
            closing(sqlite3.connect(scratch)) as copy,
        ):
            original.backup(copy)
    except sqlite3.OperationalError as error:
        raise StorageFull(
            f"{source.name} cannot be copied beside itself to be read: {error}",
            hint="put it into a folder with room that this user can write to",
        ) from error
    except sqlite3.DatabaseError as error:
        raise LedgerIncompatible(
            f"{source.name} is no backup: {error}", hint="give the file of `ledger backup`"
        ) from error


def _copy(source: Connection, sink: Connection, progress: Progress | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for table in metadata.sorted_tables:
        if table is meta:
            continue
        total = source.execute(select(func.count()).select_from(table)).scalar() or 0
        done = 0
        for rows in _batches(source, table):
            sink.execute(insert(table), rows)
            done += len(rows)
            if progress is not None:
                progress(done, total, table.name)
        found[table.name] = done
    if sink.dialect.name == "postgresql":
        for table in _NUMBERED:
            sink.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'position'), "  # noqa: S608 - our own names
                    f"greatest(1, (SELECT max(position) FROM {table.name})))"
                )
            )
    return found


def _batches(source: Connection, table: Any) -> Iterator[list[dict[str, Any]]]:
    query = select(table).order_by(*table.primary_key.columns)
    result = source.execution_options(stream_results=True).execute(query)
    while rows := result.fetchmany(_ROWS):
        yield [dict(row._mapping) for row in rows]  # noqa: SLF001 - its public name


def _one_moment(source: Connection) -> None:
    if source.dialect.name == "postgresql":
        source.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        source.execute(text("SET LOCAL statement_timeout = 0"))
    schema_of(source)  # the first look is what fixes the moment


def _require_empty(sink: Connection, ledger: SqlLedger) -> None:
    for table in metadata.sorted_tables:
        if table is meta:
            continue
        if sink.execute(select(table).limit(1)).first() is not None:
            raise Conflict(
                f"the ledger {ledger.name} is not empty ({table.name} has rows): nothing was "
                "changed",
                hint="restore into a new ledger",
            )


def _keep(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
