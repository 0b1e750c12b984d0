"""Several statements that one of them decides about, as a single statement of PostgreSQL.

A claim writes five rows and a finish as many. Sent one by one, each costs a round trip and the
transaction around them two more; as one statement with data-modifying CTEs (PostgreSQL manual,
7.8.4) they cost one in all, and are a transaction by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from backbeat.ledger.prepared import Prepared

__all__ = ["Statements", "combined"]

Statements = Sequence[tuple[Prepared, Mapping[str, Any]]]

_PARAMETER = re.compile(r"%\((\w+)\)s")
_VALUES = re.compile(r" VALUES \((.*)\)( ON CONFLICT DO NOTHING)?$", re.DOTALL)
_texts: dict[tuple[int, ...], str] = {}


def combined(tx: Connection, statements: Statements) -> tuple[str, dict[str, Any]]:
    """One statement that performs the first, and the others where the first changed a row.

    Args:
        tx: Whose dialect is written.
        statements: An insert or update that decides, then inserts and updates that depend on it.

    Returns:
        SQL whose one row says how many rows the first has changed, and its parameters.
    """
    shape = tuple(id(statement) for statement, _ in statements)
    found = _texts.get(shape)
    if found is None:
        parts = [_part(number, one.text(tx)) for number, (one, _) in enumerate(statements)]
        found = f"WITH {', '.join(parts)} SELECT count(*) FROM s0"  # noqa: S608 - our own SQL
        _texts[shape] = found
    return found, {
        f"s{number}_{name}": value
        for number, (_, parameters) in enumerate(statements)
        for name, value in parameters.items()
    }


def _part(number: int, text: str) -> str:
    text = _PARAMETER.sub(rf"%(s{number}_\1)s", text)
    if number == 0:
        return f"s0 AS ({text} RETURNING 1)"
    if text.startswith("INSERT"):
        text = _VALUES.sub(r" SELECT \1 FROM s0\2", text)
    else:
        text = f"{text} AND EXISTS (SELECT 1 FROM s0)"  # noqa: S608 - our own SQL
    return f"s{number} AS ({text})"
