"""Arrow types: which family a column belongs to, and what it can be read as."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from backbeat.drift._scan import Family
from backbeat.errors import ContractBroken

__all__ = [
    "family_of",
    "is_binary",
    "is_floats",
    "is_list",
    "is_number",
    "is_text",
    "is_vector",
]


def family_of(name: str, kind: pa.DataType) -> Family:
    """The family of a column's values.

    Raises:
        ContractBroken: The type has no distribution.
    """
    for matches, family in _FAMILIES:
        if matches(kind):
            return family
    what = "is binary" if is_binary(kind) else f"is of type {kind}"
    raise ContractBroken(
        f"The column {name!r} {what}, which has no distribution to compare.",
        hint="leave it out with `columns`, or turn it into numbers, strings or lists first",
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds strings, as they are or as codes."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def is_vector(kind: pa.DataType) -> bool:
    """Whether a column's type says that it holds embeddings."""
    return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type))


def is_floats(kind: pa.DataType) -> bool:
    """Whether a column can hold embeddings of which the type does not say the dimension."""
    return bool(is_list(kind) and is_number(kind.value_type))


def is_list(kind: pa.DataType) -> bool:
    """Whether a column holds lists of any sort."""
    types = pa.types
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def is_number(kind: pa.DataType) -> bool:
    """Whether a column holds numbers or booleans."""
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_boolean(kind)
    )


def is_binary(kind: pa.DataType) -> bool:
    """Whether a column holds bytes."""
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _is_codes(kind: pa.DataType) -> bool:
    if not pa.types.is_dictionary(kind):
        return False
    return not (pa.types.is_nested(kind.value_type) or is_binary(kind.value_type))


_FAMILIES: tuple[tuple[Any, Family], ...] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_time, "time"),
    (pa.types.is_duration, "duration"),
    (_is_codes, "category"),
    (is_text, "category"),
    (pa.types.is_null, "empty"),
)
