"""The ledger on SQLite: one host, a local disk, any number of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from backbeat.audit import leaf_hash
from backbeat.errors import StorageFull
from backbeat.ledger.claims import Claims
from backbeat.ledger.database import Database
from backbeat.ledger.migrations import migrate
from backbeat.ledger.outbox import Outbox
from backbeat.ledger.streams import Streams
from backbeat.ledger.tables import audit_log, outbox, runs

__all__ = ["SqliteLedger"]


class SqliteLedger(Claims, Streams, Outbox):
    """A ledger in one SQLite file; its schema is made or brought forward when it is opened.

    Args:
        path: The file. Its folder is created.

    Raises:
        LedgerIncompatible: The file is foreign, newer, or on a network disk.
        StorageFull: The file cannot be written.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser().resolve()
        self._db = Database(self.path)
        self._open_claims = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFull(
                f"the ledger's folder {self.path.parent} cannot be made: {error.strerror}",
                hint="choose a folder that this user can write to",
            ) from error
        migrate(self._db)

    def close(self) -> None:
        """Give the file handles back; the ledger opens again when it is used."""
        self._db.close()

    def check(self) -> dict[str, Any]:
        """Facts for `doctor`; re-hashes every audit entry.

        Returns:
            path, schema, runs, outbox (messages not yet delivered), audit_entries and
            audit_broken (positions whose stored bytes no longer have their hash).
        """
        with self._db.read() as view:
            entries = view.execute(select(audit_log.c.position, audit_log.c.body, audit_log.c.leaf))
            total, broken = 0, []
            for row in entries:
                total += 1
                if leaf_hash(bytes(row.body)) != bytes(row.leaf):
                    broken.append(row.position)
            return {
                "path": str(self.path),
                "schema": migrate(self._db),
                "runs": view.execute(select(func.count()).select_from(runs)).scalar(),
                "outbox": view.execute(select(func.count()).select_from(outbox)).scalar(),
                "audit_entries": total,
                "audit_broken": broken,
            }
