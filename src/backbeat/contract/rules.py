"""A column's rules as masks over its values: true where a value breaks the rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backbeat.contract.declared import type_of
from backbeat.contract.document import Column
from backbeat.contract.findings import Rule
from backbeat.contract.media import contradicted

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ValueRule", "comparable", "value_rules"]


@dataclass(frozen=True)
class ValueRule:
    """One rule that a single value keeps or breaks.

    Args:
        name: The contract's rule.
        wanted: What the contract says, in words.
        found: What a value that breaks it is, in words.
        broken: Gives the mask over an array of `comparable` values.
    """

    name: Rule
    wanted: str
    found: str
    broken: Callable[[Any], Any]


def value_rules(column: Column) -> Iterator[ValueRule]:
    """The rules of a column that are held against every value."""
    import pyarrow.compute as pc

    if not column.nullable:
        yield ValueRule("null", "never null", "is null", pc.is_null)
    if column.minimum is not None:
        yield ValueRule(
            "minimum",
            f"at least {column.minimum}",
            f"is not at least {column.minimum}",
            lambda values: _beyond(values, column.minimum, pc.greater_equal),
        )
    if column.maximum is not None:
        yield ValueRule(
            "maximum",
            f"at most {column.maximum}",
            f"is not at most {column.maximum}",
            lambda values: _beyond(values, column.maximum, pc.less_equal),
        )
    if column.among is not None:
        names = ", ".join(map(repr, column.among))
        yield ValueRule(
            "among",
            f"one of {names}",
            f"is not one of {names}",
            lambda values: _stranger(values, column.among),
        )
    media_type = column.media_type
    if media_type is not None:
        yield ValueRule(
            "media_type",
            media_type,
            f"does not begin as {media_type}",
            lambda values: _other_bytes(values, media_type),
        )


def comparable(values: pa.Array) -> pa.Array:
    """The same values in the one layout of their type that every comparison knows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = _decoded(values)
    kind = values.type
    if pa.types.is_floating(kind):
        wide = values.cast(pa.float32()) if pa.types.is_float16(kind) else values
        return pc.add(wide, pa.scalar(0.0, wide.type))  # -0.0 and 0.0 are one value
    layout = {"string": pa.large_string(), "binary": pa.large_binary()}.get(type_of(kind))
    return values if layout is None else values.cast(layout)


def _decoded(values: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        return _decoded(values.dictionary_decode())
    if pa.types.is_run_end_encoded(values.type):
        return _decoded(pc.run_end_decode(values))
    if isinstance(values.type, pa.BaseExtensionType):
        return _decoded(values.storage)
    return values


def _beyond(values: Any, bound: float | None, keeps: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if bound is None or pa.types.is_null(values.type):
        return pc.and_(values.is_valid(), values.is_null())
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    if pa.types.is_floating(values.type):
        # in the column's own precision: a float32 of 0.1 is not above a maximum of 0.1
        return _false_where_null(pc.invert(keeps(values, pa.scalar(float(bound), values.type))))
    below = keeps is pc.greater_equal
    whole = math.ceil(bound) if below else math.floor(bound)
    try:
        limit = pa.scalar(whole, values.type)
    except (pa.ArrowInvalid, OverflowError):
        # beyond what the type can hold: every value keeps it, or none does
        none = (whole > 0) == below
        return values.is_valid() if none else pc.and_(values.is_valid(), values.is_null())
    return _false_where_null(pc.invert(keeps(values, limit)))


def _stranger(values: Any, among: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(values.type):
        return values.is_valid()
    if pa.types.is_floating(values.type):
        among = [float(value) + 0.0 for value in among]
    known = pa.array(among, values.type)
    return pc.and_(values.is_valid(), pc.invert(pc.is_in(values, value_set=known)))


def _other_bytes(values: Any, media_type: str) -> Any:
    import pyarrow as pa

    # a column in which nothing was ever written has no bytes
    kept = pa.types.is_null(values.type)
    return values.is_valid() if kept else contradicted(values, media_type)


def _false_where_null(mask: Any) -> Any:
    import pyarrow.compute as pc

    return pc.fill_null(mask, False)  # noqa: FBT003 - the value that takes the place of nulls
