"""The ledger's schema: made, recognised, and brought forward under the database's own lock.

A version may be written by any backbeat that knows at least `min_compatible`: schema changes
expand first and contract one release later, so that workers of the release before keep working.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import insert, inspect, select, update
from sqlalchemy.engine import Connection

from backbeat.errors import LedgerIncompatible
from backbeat.ledger.database import Database
from backbeat.ledger.tables import meta, metadata

__all__ = ["SCHEMA_VERSION", "migrate"]


def _create(connection: Connection) -> None:
    metadata.create_all(connection, checkfirst=False)
    facts = {"product": "backbeat", "schema_version": "0", "min_compatible": "0"}
    connection.execute(insert(meta), [{"name": k, "value": v} for k, v in facts.items()])


# (what brings the schema to this version, the oldest version that may still write it)
_STEPS: tuple[tuple[Callable[[Connection], None], int], ...] = ((_create, 1),)
SCHEMA_VERSION = len(_STEPS)


def migrate(database: Database) -> int:
    """Bring a ledger to this version's schema; harmless where it is there already.

    Returns:
        The schema version that the ledger has now.

    Raises:
        LedgerIncompatible: The file belongs to another program or to a newer backbeat.
    """
    with database.read() as connection:
        if _version(connection) == SCHEMA_VERSION:
            return SCHEMA_VERSION
    with database.write() as connection:
        version = _version(connection)  # another process may have been faster
        for number, (bring, min_compatible) in enumerate(_STEPS, start=1):
            if version < number:
                bring(connection)
                _set(connection, "schema_version", str(number))
                _set(connection, "min_compatible", str(min_compatible))
        return _version(connection)


def _version(connection: Connection) -> int:
    names = set(inspect(connection).get_table_names())
    if not names:
        return 0
    if meta.name not in names:
        raise LedgerIncompatible(
            f"the database holds other tables ({', '.join(sorted(names)[:3])}) and no ledger",
            hint="give the ledger a database of its own",
        )
    facts: dict[str, Any] = {row.name: row.value for row in connection.execute(select(meta))}
    version, oldest = int(facts["schema_version"]), int(facts["min_compatible"])
    if oldest > SCHEMA_VERSION:
        raise LedgerIncompatible(
            f"the ledger has schema {version}, which backbeat with schema {SCHEMA_VERSION} may "
            f"not write (it needs at least {oldest})",
            hint="upgrade backbeat on this worker",
        )
    return max(version, SCHEMA_VERSION) if version >= SCHEMA_VERSION else version


def _set(connection: Connection, name: str, value: str) -> None:
    connection.execute(update(meta).where(meta.c.name == name).values(value=value))
