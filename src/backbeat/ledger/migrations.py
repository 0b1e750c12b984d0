"""The ledger's schema: made, recognised, and brought forward under the database's own lock.

A version may be written by any backbeat that knows at least `min_compatible`: schema changes
expand first and contract one release later, so that workers of the release before keep working.
A SQLite file is brought forward by whoever opens it; PostgreSQL only by `backbeat ledger migrate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, inspect, select, text, update
from sqlalchemy.engine import Connection

from backbeat.errors import LedgerIncompatible
from backbeat.ledger.database import Database
from backbeat.ledger.tables import (
    budgets,
    meta,
    metadata,
    runs_by_request,
    streams_by_time,
    tokens,
)

__all__ = [
    "SCHEMA_VERSION",
    "Schema",
    "admitted_schema",
    "migrate",
    "require_schema",
    "schema_of",
]

# a number of our own: whoever migrates holds it, so that two at once do not meet half-way
_ADVISORY_LOCK = 0x6261636B62656174


def _expand_to_2(connection: Connection) -> None:
    for table, column, kind in (
        ("backbeat_runs", "nonce", "VARCHAR"),
        ("backbeat_runs", "lease_seconds", "FLOAT"),
        ("backbeat_streams", "taken_until", "VARCHAR"),
        ("backbeat_locks", "seconds", "FLOAT"),
    ):
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column} {kind}"))
    connection.execute(text(f"DROP INDEX {runs_by_request.name}"))
    for new in (budgets, tokens, runs_by_request, streams_by_time):
        new.create(connection)


# what brings the schema to version 2, 3, ..., and the oldest version that may still write it then
_STEPS: tuple[tuple[Callable[[Connection], None], int], ...] = ((_expand_to_2, 1),)
SCHEMA_VERSION = 1 + len(_STEPS)


@dataclass(frozen=True)
class Schema:
    """What a database says about itself.

    Args:
        version: Of the ledger's schema; 0 where there is none yet.
        min_compatible: The oldest version whose workers may write it.
    """

    version: int
    min_compatible: int


def migrate(database: Database) -> int:
    """Bring a ledger to this version's schema; harmless where it is there already.

    Returns:
        The schema version that the ledger has now: this one's, or a newer one that admits us.

    Raises:
        LedgerIncompatible: The database belongs to another program or to a newer backbeat.
    """
    with database.read() as connection:
        version = admitted_schema(connection).version
        if version >= SCHEMA_VERSION:
            return version
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        version = schema_of(connection).version  # another process may have been faster
        if version == 0:
            metadata.create_all(connection, checkfirst=False)
            oldest = _STEPS[-1][1] if _STEPS else 1
            facts = {"product": "backbeat", "schema_version": SCHEMA_VERSION}
            for name, value in {**facts, "min_compatible": oldest}.items():
                connection.execute(insert(meta), {"name": name, "value": str(value)})
        for number, (bring, oldest) in enumerate(_STEPS, start=2):
            if 0 < version < number:
                bring(connection)
                _set(connection, "schema_version", str(number))
                _set(connection, "min_compatible", str(oldest))
        return schema_of(connection).version


def require_schema(connection: Connection) -> int:
    """The schema's version, where a worker of this version may work on it without changing it.

    Raises:
        LedgerIncompatible: It is foreign, too new, too old, or not made yet.
    """
    schema = admitted_schema(connection)
    if schema.version == 0:
        raise LedgerIncompatible(
            "the database holds no ledger yet", hint="run `backbeat ledger migrate` once"
        )
    if schema.version < SCHEMA_VERSION:
        raise LedgerIncompatible(
            f"the ledger has schema {schema.version}, and this backbeat needs {SCHEMA_VERSION}",
            hint="run `backbeat ledger migrate` with the newer backbeat; workers of the older one "
            "keep working",
        )
    return schema.version


def admitted_schema(connection: Connection) -> Schema:
    """What schema a database has, where a worker of this version may write it, or make it.

    Raises:
        LedgerIncompatible: It is foreign or too new.
    """
    schema = schema_of(connection)
    if schema.min_compatible > SCHEMA_VERSION:
        raise LedgerIncompatible(
            f"the ledger has schema {schema.version}, which backbeat with schema {SCHEMA_VERSION} "
            f"may not write (it needs at least {schema.min_compatible})",
            hint="upgrade backbeat on this worker",
        )
    return schema


def schema_of(connection: Connection) -> Schema:
    """What schema a database has; no table at all is version 0.

    Raises:
        LedgerIncompatible: There are tables, but no ledger.
    """
    names = set(inspect(connection).get_table_names())
    if meta.name not in names:
        # a schema in PostgreSQL is often shared, and our tables carry our name
        if names and connection.dialect.name == "sqlite":
            raise LedgerIncompatible(
                f"the database holds other tables ({', '.join(sorted(names)[:3])}) and no ledger",
                hint="give the ledger a database of its own",
            )
        if ours := sorted(name for name in names if name.startswith("backbeat_")):
            raise LedgerIncompatible(
                f"the database holds {ours[0]}, but not the table that tells its version",
                hint="restore the ledger from its last backup, or give it an empty database",
            )
        return Schema(version=0, min_compatible=0)
    facts: dict[str, Any] = {row.name: row.value for row in connection.execute(select(meta))}
    if facts.get("product") != "backbeat":
        raise LedgerIncompatible(
            f"the table {meta.name} belongs to {facts.get('product') or 'another program'}",
            hint="give the ledger a database of its own",
        )
    return Schema(int(facts["schema_version"]), int(facts["min_compatible"]))


def _set(connection: Connection, name: str, value: str) -> None:
    connection.execute(update(meta).where(meta.c.name == name).values(value=value))
