"""Statements of the door: their SQL text is made once, and goes straight to the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy.engine import Connection, Dialect

__all__ = ["Arrange", "Prepared", "tuple_of"]

Arrange = Callable[[Mapping[str, Any]], Any]


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
        self._compiled: dict[str, tuple[str, Arrange]] = {}

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

    def bound(self, dialect: Dialect, parameters: Mapping[str, Any]) -> tuple[str, Any]:
        """Its SQL in a dialect, and the parameters as the driver wants them."""
        text, arranged = self._in(dialect)
        return text, arranged(parameters)

    def text(self, dialect: Dialect) -> str:
        """Its SQL in a dialect."""
        return self._in(dialect)[0]

    def _execute(self, tx: Connection, parameters: Mapping[str, Any]) -> Any:
        cursor = tx.connection.cursor()
        cursor.execute(*self.bound(tx.dialect, parameters))
        return cursor

    def _in(self, dialect: Dialect) -> tuple[str, Arrange]:
        found = self._compiled.get(dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
            arranged = tuple_of(compiled.positiontup) if compiled.positional else dict
            found = str(compiled) + self._suffix, arranged
            self._compiled[dialect.name] = found
        return found


def tuple_of(names: Sequence[str]) -> Arrange:
    """What arranges parameters by name in the order of a driver that counts them."""
    if len(names) == 1:  # where an itemgetter gives the value alone
        return lambda parameters: (parameters[names[0]],)
    return itemgetter(*names)
