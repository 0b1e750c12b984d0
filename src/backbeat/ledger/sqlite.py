"""The ledger on SQLite: one host, a local disk, any number of processes."""

from __future__ import annotations

from pathlib import Path

from backbeat.errors import StorageFull
from backbeat.ledger.migrations import migrate
from backbeat.ledger.sql import SqlLedger
from backbeat.ledger.sqlite_database import SqliteDatabase

__all__ = ["SqliteLedger"]


class SqliteLedger(SqlLedger):
    """A ledger in one SQLite file; its schema is made or brought forward when it is opened.

    Args:
        path: The file. Its folder is created.

    Raises:
        LedgerIncompatible: The file is foreign, newer, or on a network disk.
        StorageFull: The file cannot be written.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser().resolve()
        super().__init__(SqliteDatabase(self.path))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFull(
                f"the ledger's folder {self.path.parent} cannot be made: {error.strerror}",
                hint="choose a folder that this user can write to",
            ) from error
        migrate(self._db)
