"""Which columns of a SQL engine's table can be profiled, and as which numbers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backbeat.drift._columns import NumericColumn
from backbeat.drift._derive import Residual
from backbeat.drift._scan import Family, NumericFamily
from backbeat.drift.profile import Profile
from backbeat.errors import ContractBroken

__all__ = ["Reading", "readings"]

_NANOSECONDS = 9
_EXACT_DIGITS = 15


@dataclass(frozen=True)
class Reading:
    """How a column is read.

    Args:
        name: The column.
        family: What its values are.
        values: Ibis expression of its values: float64, or strings where they are categories.
        zoned: Whether timestamps have a time zone, None for all else.
    """

    name: str
    family: NumericFamily | Literal["category"]
    values: Any
    zoned: bool | None = None


def readings(
    table: Any, columns: Sequence[str] | None, reference: Profile | None, engine: str
) -> list[Reading]:
    """The columns to count.

    Args:
        table: The Ibis table.
        columns: The columns that were asked for, None for all. One that only the reference has
            is left out.
        reference: The profile whose edges are used, or None.
        engine: Name of Ibis's backend.

    Raises:
        ContractBroken: A column is absent, derived, or of a type that has no numbers in SQL.
    """
    known = {} if reference is None else reference.columns
    wanted = [*table.columns, *known] if columns is None else columns
    if reference is not None:
        _refuse_derived(table, set(wanted), reference)
    names = [name for name in dict.fromkeys(wanted) if name in table.columns or name not in known]
    if not names:
        raise ContractBroken(
            "There are no columns to profile.", hint="name at least one column that the table has"
        )
    return [_reading(table, name, known.get(name), engine) for name in names]


def _refuse_derived(table: Any, wanted: set[str], reference: Profile) -> None:
    derived = {
        each.name if isinstance(each, Residual) else each.column: each.kind
        for each in reference.derivations
    }
    for name in wanted & derived.keys():
        raise _underivable(name, f"the reference computes it ({derived[name]})")
    for name in sorted(wanted & reference.columns.keys() - set(table.columns)):
        for source in table.columns:
            if name.startswith((f"{source}:", f"{source}.", f"{source} given ")):
                raise _underivable(name, f"the reference computes it from {source!r}")


def _underivable(name: str, why: str) -> ContractBroken:
    return ContractBroken(
        f"The column {name!r} cannot be counted by a query: {why} in Python.",
        hint="leave it out with `columns`, or export the rows and use `build_profile`",
    )


def _reading(table: Any, name: str, frozen: Any, engine: str) -> Reading:
    if name not in table.columns:
        near = difflib.get_close_matches(name, table.columns, n=1)
        raise ContractBroken(
            f"The column {name!r} is missing in the table.",
            hint=f"did you mean {near[0]!r}?" if near else "check the columns' names",
        )
    values = table[name]
    kind = values.type()
    family = _family(kind)
    if family == "empty":
        # a column of nulls only has no type of its own: it takes the reference's
        family = "category" if frozen is None else frozen.family
        return Reading(name, family, values.cast("string" if family == "category" else "float64"))
    if family == "category":
        return Reading(name, "category", values.cast("string"))
    read = _seconds(kind, engine) if family in ("time", "timestamp", "duration") else _number(kind)
    if family is None or read is None:
        raise ContractBroken(
            f"The column {name!r} is of type {kind}, which has no numbers to compare on {engine}.",
            hint="leave it out with `columns`, or cast it to numbers or strings first",
        )
    zoned = kind.timezone is not None if kind.is_timestamp() else None
    if zoned is not None and isinstance(frozen, NumericColumn) and frozen.zoned is (not zoned):
        family = "zoned timestamp" if zoned else "naive timestamp"
    return Reading(name, family, read(values), zoned)


def _family(kind: Any) -> Family | None:
    tests: tuple[tuple[Callable[[], bool], Family], ...] = (
        (kind.is_boolean, "boolean"),
        (kind.is_integer, "integer"),
        (kind.is_floating, "number"),
        (kind.is_decimal, "number"),
        (kind.is_date, "date"),
        (kind.is_timestamp, "timestamp"),
        (kind.is_time, "time"),
        (kind.is_interval, "duration"),
        (kind.is_string, "category"),
        (kind.is_null, "empty"),
    )
    return next((family for matches, family in tests if matches()), None)


def _number(kind: Any) -> Callable[[Any], Any] | None:
    if kind.is_boolean():
        return lambda values: values.cast("int32").cast("float64")
    if kind.is_date():
        return lambda values: values.epoch_days().cast("float64")
    if kind.is_decimal() and kind.scale and (kind.precision or _EXACT_DIGITS) <= _EXACT_DIGITS:
        # Arrow multiplies the digits with a power of ten, which is not always the nearest float:
        # three tenths become 0.30000000000000004
        up, down = 10.0**kind.scale, float(f"1e-{kind.scale}")
        return lambda values: (values.cast("float64") * up).round().cast("float64") * down
    if kind.is_numeric():
        return lambda values: values.cast("float64")
    return None


def _seconds(kind: Any, engine: str) -> Callable[[Any], Any] | None:
    import ibis

    function = ibis.udf.scalar.builtin
    if kind.is_timestamp() and kind.scale == _NANOSECONDS:
        start = ibis.timestamp("1970-01-01 00:00:00", timezone=kind.timezone)
        return lambda values: values.delta(start, unit="nanosecond").cast("float64") / 1e9
    if engine == "duckdb":
        microseconds = function(lambda _values: ..., name="epoch_us", signature=((kind,), "int64"))
        return lambda values: microseconds(values).cast("float64") / 1e6
    if engine == "postgres":
        epoch = function(
            lambda _part, _values: ..., name="date_part", signature=(("string", kind), "float64")
        )
        if kind.is_interval():
            # days and seconds were added as floats: back to whole microseconds
            return lambda values: (epoch("epoch", values) * 1e6).cast("int64").cast("float64") / 1e6
        return lambda values: epoch("epoch", values)
    if kind.is_timestamp():
        start = ibis.timestamp("1970-01-01 00:00:00", timezone=kind.timezone)
    elif kind.is_time():
        start = ibis.time("00:00:00")
    else:
        return None
    return lambda values: values.delta(start, unit="microsecond").cast("float64") / 1e6
