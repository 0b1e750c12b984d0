"""Two versions of a data contract, as a reader of the data sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from backbeat.contract.differences import Difference, Level
from backbeat.contract.document import Column, DataContract, RowCount

__all__ = ["data_differences"]


def data_differences(old: DataContract, new: DataContract) -> Iterator[Difference]:
    """What a reader who relies on the old contract can no longer, or can now, rely on."""
    if old.name != new.name:
        yield _said("none", "", f"is now about {new.name} instead of {old.name}")
    for column in old.columns:
        after = new.column(column.name)
        if after is None:
            yield _said("breaking", column.name, "column removed")
        else:
            yield from _column(column, after)
    for column in new.columns:
        if old.column(column.name) is None:
            yield _said("additive", column.name, f"column added ({column.type})")
    before, after_rows = old.rows or RowCount(), new.rows or RowCount()
    yield from _bound("", "fewest rows", before.minimum or None, after_rows.minimum or None, 1)
    yield from _bound("", "most rows", before.maximum, after_rows.maximum, -1)
    yield from _key(old.key, new.key)


def _column(old: Column, new: Column) -> Iterator[Difference]:
    where = old.name
    if old.type != new.type:
        yield _said("breaking", where, f"type {old.type} is now {new.type}")
    if old.unit != new.unit:
        # naming a unit where none was named takes nothing from anybody
        level: Level = "additive" if old.unit is None else "breaking"
        yield _said(level, where, f"unit {old.unit or 'unsaid'} is now {new.unit or 'unsaid'}")
    if old.media_type != new.media_type:
        # the same as of a unit
        stated: Level = "additive" if old.media_type is None else "breaking"
        words = f"media type {old.media_type or 'unsaid'} is now {new.media_type or 'unsaid'}"
        yield _said(stated, where, words)
    if old.nullable != new.nullable:
        yield (
            _said("breaking", where, "may now be null")
            if new.nullable
            else _said("additive", where, "is now never null")
        )
    if old.unique != new.unique:
        yield (
            _said("additive", where, "is now unique")
            if new.unique
            else _said("breaking", where, "is no longer unique")
        )
    yield from _bound(where, "minimum", old.minimum, new.minimum, 1)
    yield from _bound(where, "maximum", old.maximum, new.maximum, -1)
    yield from _among(where, old.among, new.among)


def _bound(
    where: str, name: str, old: float | None, new: float | None, stricter: int
) -> Iterator[Difference]:
    if old == new:
        return
    if old is None:
        yield _said("additive", where, f"{name} is now {new}")
    elif new is None:
        yield _said("breaking", where, f"{name} {old} is gone")
    else:
        level: Level = "additive" if (new - old) * stricter > 0 else "breaking"
        yield _said(level, where, f"{name} {old} is now {new}")


def _among(
    where: str, old: Sequence[Any] | None, new: Sequence[Any] | None
) -> Iterator[Difference]:
    if old is None and new is not None:
        yield _said("additive", where, f"is now one of {_listed(new)}")
    elif old is not None and new is None:
        yield _said("breaking", where, f"is no longer only one of {_listed(old)}")
    elif old is not None and new is not None:
        more = [value for value in new if value not in old]
        fewer = [value for value in old if value not in new]
        if more:
            yield _said("breaking", where, f"may now also be {_listed(more)}")
        if fewer:
            yield _said("additive", where, f"is never {_listed(fewer)} any more")


def _key(old: Sequence[str], new: Sequence[str]) -> Iterator[Difference]:
    if set(old) == set(new):
        return
    # rows that fewer columns tell apart are told apart by more of them, too
    stricter = not old or (new and set(new) < set(old))
    words = f"key ({', '.join(old)}) is now ({', '.join(new)})"
    yield _said("additive" if stricter else "breaking", "", words)


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(repr, values))


def _said(level: Level, where: str, words: str) -> Difference:
    return Difference(level=level, where=where, words=words)
