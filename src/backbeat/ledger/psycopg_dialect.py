"""psycopg 3 under SQLAlchemy 1.4, which knows only its predecessor by name."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy
from sqlalchemy.dialects import registry

__all__ = ["DRIVER"]

DRIVER = "postgresql+psycopg"

if sqlalchemy.__version__.startswith("1."):
    from sqlalchemy.dialects.postgresql.base import PGExecutionContext
    from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

    class PsycopgExecution(PGExecutionContext):  # type: ignore[misc]
        """One statement on its way."""

        def create_server_side_cursor(self) -> Any:
            """A cursor whose rows stay in the server until they are fetched."""
            return self._dbapi_connection.cursor(f"backbeat_{uuid.uuid4().hex}")

    class PsycopgDialect(PGDialect_psycopg2):  # type: ignore[misc]
        """As much as the ledger's text, numbers and bytes need: no types of the driver's own."""

        driver = "psycopg"
        supports_statement_cache = True
        execution_ctx_cls = PsycopgExecution

        @classmethod
        def dbapi(cls) -> Any:
            """The driver's module."""
            import psycopg

            return psycopg

        def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
            """Libpq's own words, and whatever else the URL says."""
            named = url.translate_connect_args(username="user", database="dbname")
            return [], {**named, **url.query}

        def initialize(self, connection: Any) -> None:
            """Ask the server what it is, and nothing of psycopg2's own."""
            super(PGDialect_psycopg2, self).initialize(connection)

        def on_connect(self) -> None:
            """Nothing to prepare."""

        def set_isolation_level(self, connection: Any, level: str) -> None:
            """Only whether each statement is a transaction by itself."""
            connection.autocommit = level == "AUTOCOMMIT"

        def do_executemany(
            self, cursor: Any, statement: str, parameters: Any, context: Any = None
        ) -> None:
            """One call of the driver."""
            cursor.executemany(statement, parameters)

        def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
            """Whether the conversation is over."""
            return bool(connection is not None and (connection.closed or connection.broken))

    registry.register("postgresql.psycopg", __name__, "PsycopgDialect")
