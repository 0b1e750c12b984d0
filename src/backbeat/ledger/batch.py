"""Several statements that one of them decides about, as a single statement of PostgreSQL.

A claim writes five rows and a finish as many. Sent one by one, each costs a round trip and the
transaction around them two more; as one statement with data-modifying CTEs (PostgreSQL manual,
7.8.4) they cost one in all, and are a transaction by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Dialect

from backbeat.ledger.prepared import Arrange, Prepared, tuple_of

__all__ = ["Statements", "combined"]

Statements = Sequence[tuple[Prepared, Mapping[str, Any]]]

_PARAMETER = re.compile(r"%\((\w+)\)s")
_VALUES = re.compile(r" VALUES \((.*)\)( ON CONFLICT DO NOTHING)?$", re.DOTALL)
_combined: dict[tuple[int, ...], tuple[str, list[Arrange]]] = {}


def combined(dialect: Dialect, statements: Statements) -> tuple[str, list[Any]]:
    """One statement that performs the first, and the others where the first changed a row.

    Args:
        dialect: PostgreSQL's.
        statements: An insert or update that decides, then inserts and updates that depend on it.

    Returns:
        SQL whose one row says how many rows the first has changed, and its parameters $1, $2, ...
    """
    shape = tuple([id(statement) for statement, _ in statements])
    found = _combined.get(shape)
    if found is None:
        found = _combined[shape] = _combine([one.text(dialect) for one, _ in statements])
    text, picks = found
    values: list[Any] = []
    for pick, (_, parameters) in zip(picks, statements, strict=True):
        values += pick(parameters)
    return text, values


def _combine(texts: Sequence[str]) -> tuple[str, list[Arrange]]:
    parts, picks, before = [], [], 0
    for number, text in enumerate(texts):
        names = list(dict.fromkeys(_PARAMETER.findall(text)))
        places = {name: f"${before + place}" for place, name in enumerate(names, start=1)}
        placed = _PARAMETER.sub(lambda found, places=places: places[found[1]], text)  # type: ignore[misc]
        parts.append(_part(number, placed))
        picks.append(tuple_of(names))
        before += len(names)
    return f"WITH {', '.join(parts)} SELECT count(*) FROM s0", picks  # noqa: S608 - our own SQL


def _part(number: int, text: str) -> str:
    if number == 0:
        return f"s0 AS ({text} RETURNING 1)"
    if text.startswith("INSERT"):
        text = _VALUES.sub(r" SELECT \1 FROM s0\2", text)
    else:
        text = f"{text} AND EXISTS (SELECT 1 FROM s0)"  # noqa: S608 - our own SQL
    return f"s{number} AS ({text})"
