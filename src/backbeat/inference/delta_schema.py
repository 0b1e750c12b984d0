"""Scores as columns of a Delta table: Delta's types, and those that the table has already.

https://github.com/delta-io/delta/blob/master/PROTOCOL.md, Schema Serialization Format
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from backbeat.errors import ContractBroken

__all__ = ["as_columns", "delta_schema", "fitting"]

_SAME = (
    pa.types.is_boolean,
    pa.types.is_date32,
    pa.types.is_decimal128,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_int8,
    pa.types.is_int16,
    pa.types.is_int32,
    pa.types.is_int64,
)
_WIDER = {
    pa.float16(): pa.float32(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.date64(): pa.date32(),
}
_ONE_LAYOUT = {
    pa.string(): (pa.types.is_string, pa.types.is_large_string),
    pa.binary(): (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
    ),
}


def delta_schema(parts: Sequence[pa.Schema]) -> pa.Schema:
    """One schema for all files of a scoring, of types that Delta has.

    Columns without any value, and so without a type, are left out.

    Raises:
        ContractBroken: Two files have a column of types that do not go together, or Delta has no
            such type.
    """
    bare = [part.remove_metadata() for part in parts]
    try:
        whole = pa.unify_schemas(bare, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ContractBroken(
            f"The files of these scores do not have the same columns: {error}.",
            hint="let the model give every row an output of one type",
        ) from error
    fields = [
        pa.field(field.name, _delta_type(field.name, field.type))
        for field in whole
        if not pa.types.is_null(field.type)
    ]
    return pa.schema(fields)


def fitting(ours: pa.Schema, theirs: pa.Schema) -> pa.Schema:
    """The table's columns in its order, then those that it has not had until now.

    Args:
        ours: Of the scores.
        theirs: Of the table.

    Raises:
        ContractBroken: A column of both is of types between which values could change.
    """
    known = set(theirs.names)
    for field in ours:
        if field.name in known and not _goes_into(field.type, theirs.field(field.name).type):
            raise ContractBroken(
                f"The Delta table's column {field.name} is {theirs.field(field.name).type}, and "
                f"that of the scores is {field.type}.",
                hint="write to another table, or let the model give what it has given before",
            )
    more = [field for field in ours if field.name not in known]
    return pa.schema([*(pa.field(field.name, field.type) for field in theirs), *more])


def as_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A file's rows in a schema; a column that the file does not have is null.

    Raises:
        ContractBroken: A value cannot be what the schema says.
    """
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(len(table), field.type))
            continue
        try:
            columns.append(table.column(field.name).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ContractBroken(
                f"The column {field.name} cannot be {field.type} in Delta: {error}.",
                hint="cast it where the scores, or the key, are made",
            ) from error
    return pa.table(columns, schema=schema)


def _delta_type(name: str, kind: pa.DataType) -> pa.DataType:
    plain = _plain_type(kind)
    if plain is not None:
        return plain
    if pa.types.is_dictionary(kind):
        return _delta_type(name, kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(pa.field("element", _delta_type(name, kind.value_type)))
    if pa.types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return pa.struct([pa.field(each.name, _delta_type(name, each.type)) for each in fields])
    raise ContractBroken(
        f"The column {name} is {kind}, which Delta has no type for.",
        hint="cast it where the scores, or the key, are made",
    )


def _plain_type(kind: pa.DataType) -> pa.DataType | None:
    """Delta's type for values that have no parts; None where it has none."""
    if kind in _WIDER or any(test(kind) for test in _SAME):
        return _WIDER.get(kind, kind)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz and "UTC")
    for made, tests in _ONE_LAYOUT.items():
        if any(test(kind) for test in tests):
            return made
    return None


def _goes_into(ours: pa.DataType, theirs: pa.DataType) -> bool:
    if ours == theirs:
        return True
    whole = pa.types.is_integer(ours)
    if pa.types.is_integer(theirs):
        # value by value, and an error where one would change
        return bool(whole or pa.types.is_floating(ours))
    if pa.types.is_float64(theirs):
        return bool(whole or pa.types.is_float32(ours))
    return False
