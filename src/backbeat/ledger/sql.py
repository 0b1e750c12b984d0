"""What a ledger in SQL can do, whichever database holds it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from sqlalchemy import func, select

from backbeat.audit import leaf_hash
from backbeat.ledger.budgets import Budgets
from backbeat.ledger.claims import Claims
from backbeat.ledger.database import Database
from backbeat.ledger.locks import Locks
from backbeat.ledger.migrations import schema_of
from backbeat.ledger.outbox import Outbox
from backbeat.ledger.streams import Streams
from backbeat.ledger.tables import audit_log, outbox, runs
from backbeat.ledger.times import to_text

__all__ = ["SqlLedger"]


class SqlLedger(Claims, Streams, Outbox, Locks, Budgets):
    """The ledger's port on a database.

    Args:
        database: Whose schema is there already.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._open_claims = OrderedDict()

    @property
    def name(self) -> str:
        """What people call it; no password in it."""
        return self._db.name

    @property
    def database(self) -> Database:
        """The database, for what is about the whole of it: migration, backup, pruning."""
        return self._db

    def watch(self, *, seconds: float) -> bool:
        """Wait until a stream may have changed, at most so long; False where time was up."""
        return self._db.watch(seconds=seconds)

    def close(self) -> None:
        """Give the connections back; the ledger opens again when it is used."""
        self._db.close()

    def check(self) -> dict[str, Any]:
        """Facts for `doctor`; re-hashes every audit entry.

        Returns:
            ledger, now (its clock), schema, runs, outbox (messages not yet delivered),
            outbox_failing (those that could not be delivered at least once), leases_ended
            (claimed runs whose lease is over), audit_entries and audit_broken (positions whose
            stored bytes no longer have their hash).
        """
        at = to_text(self._db.now())
        with self._db.read() as view:
            entries = view.execute(select(audit_log.c.position, audit_log.c.body, audit_log.c.leaf))
            total, broken = 0, []
            for row in entries:
                total += 1
                if leaf_hash(bytes(row.body)) != bytes(row.leaf):
                    broken.append(row.position)

            def count(table: Any, *conditions: Any) -> Any:
                query = select(func.count()).select_from(table).where(*conditions)
                return view.execute(query).scalar()

            return {
                "ledger": self.name,
                "now": at,
                "schema": schema_of(view).version,
                "runs": count(runs),
                "leases_ended": count(runs, runs.c.state == "claimed", runs.c.lease_until < at),
                "outbox": count(outbox),
                "outbox_failing": count(outbox, outbox.c.tries > 0),
                "audit_entries": total,
                "audit_broken": broken,
            }
