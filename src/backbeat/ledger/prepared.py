"""Statements of the door: their SQL text is made once, and goes straight to the driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

__all__ = ["Prepared"]


class Prepared:
    """A Core statement for the hot path, where Core's own execution costs more than SQLite's.

    Columns must be text, integers or bytes, which need no conversion, and every value a bind
    parameter that each call gives: literals of Core become parameters of their own. The driver's
    errors come out as they are; `Database` translates them like those of Core.

    Args:
        statement: `insert`, `update` or `select`, its values as bind parameters.
        columns: Columns that an insert fills; all of the table's where None.
        keep_existing: Whether an insert leaves a row alone that is there already.
    """

    def __init__(
        self,
        statement: Any,
        *,
        columns: Sequence[str] | None = None,
        keep_existing: bool = False,
    ) -> None:
        self._statement = statement
        self._columns = columns
        # both dialects know this clause, and Core has no word for it that both know
        self._suffix = " ON CONFLICT DO NOTHING" if keep_existing else ""
        self._compiled: dict[str, tuple[str, tuple[str, ...] | None]] = {}

    def __call__(self, tx: Connection, parameters: Mapping[str, Any]) -> int:
        """Execute with parameters by name; returns how many rows were changed."""
        return int(self._execute(tx, parameters).rowcount)

    def first(self, tx: Connection, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """Execute a select; returns its first row by column, None where there is none."""
        cursor = self._execute(tx, parameters)
        row = cursor.fetchone()
        if row is None:
            return None
        return dict(zip((column[0] for column in cursor.description), row, strict=True))

    def text(self, tx: Connection) -> str:
        """Its SQL in the dialect of a connection."""
        return self._text(tx)[0]

    def _execute(self, tx: Connection, parameters: Mapping[str, Any]) -> Any:
        text, names = self._text(tx)
        cursor = tx.connection.cursor()
        cursor.execute(text, _bound(parameters, names))
        return cursor

    def _text(self, tx: Connection) -> tuple[str, tuple[str, ...] | None]:
        found = self._compiled.get(tx.dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=tx.dialect, column_keys=self._columns)
            names = tuple(compiled.positiontup) if compiled.positional else None
            found = str(compiled) + self._suffix, names
            self._compiled[tx.dialect.name] = found
        return found


def _bound(parameters: Mapping[str, Any], names: tuple[str, ...] | None) -> Any:
    return parameters if names is None else tuple(parameters[name] for name in names)
