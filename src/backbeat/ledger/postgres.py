"""The ledger on PostgreSQL: many hosts, one clock."""

from __future__ import annotations

from backbeat.ledger.migrations import require_schema
from backbeat.ledger.postgres_database import PostgresDatabase
from backbeat.ledger.sql import SqlLedger

__all__ = ["PostgresLedger"]


class PostgresLedger(SqlLedger):
    """A ledger in a PostgreSQL database whose schema `backbeat ledger migrate` has made.

    A worker never changes the schema: its role needs no right to.

    Args:
        url: `postgresql://user:password@host:port/database`, with any parameter of libpq.

    Raises:
        LedgerIncompatible: There is no ledger yet, or its schema is foreign, older or too new.
        Unreachable: The database does not answer; a retry can help.
    """

    def __init__(self, url: str) -> None:
        database = PostgresDatabase(url)
        super().__init__(database)
        try:
            with database.read() as view:
                require_schema(view)
        except BaseException:
            database.close()
            raise
