"""What an Arrow schema declares, in a contract's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbeat.contract.document import Column, DataContract, Type
from backbeat.contract.media import MEDIA_NAME, media_type_of
from backbeat.errors import InvalidData

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

__all__ = ["contract_of", "type_of", "unit_of"]


def contract_of(data: ds.Dataset | pa.Table | pa.Schema, *, name: str = "data") -> DataContract:
    """The contract that a table's schema keeps: columns, types, nullability, units and media types.

    It is where a person begins: ranges, keys and counts of rows are theirs to add.

    Args:
        data: An open dataset, a table or a schema. No row is read.
        name: What the contract is about.

    Raises:
        InvalidData: There are no columns, one has no name, or two have the same.
    """
    import pyarrow as pa

    schema = data if isinstance(data, pa.Schema) else data.schema
    if not schema.names:
        raise InvalidData("data without columns has no contract", hint="look at what was landed")
    unclear = [column for column in schema.names if not column or schema.names.count(column) > 1]
    if unclear:
        raise InvalidData(
            f"the data has more than one column {unclear[0]!r}"
            if unclear[0]
            else "a column of the data has no name",
            hint="give each column a name of its own; readers find them by it",
        )
    return DataContract(
        name=name,
        version="1.0.0",
        columns=tuple(
            Column(
                name=field.name,
                type=type_of(field.type),
                nullable=field.nullable,
                unit=unit_of(field),
                media_type=_media_type(field),
            )
            for field in schema
        ),
    )


def unit_of(field: pa.Field) -> str | None:
    """The unit that a field's metadata names, None where it says nothing."""
    said = (field.metadata or {}).get(b"unit", b"")
    return said.decode("utf-8", "replace") or None


def _media_type(field: pa.Field) -> str | None:
    said = media_type_of(field)
    # whatever a producer wrote there; a contract names none that is no media type
    return said if type_of(field.type) == "binary" and MEDIA_NAME.fullmatch(said) else None


def type_of(kind: pa.DataType) -> Type:
    """The contract's name of an Arrow type; how the values are laid out makes no difference."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return type_of(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return type_of(kind.storage_type)
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp_tz"
    for name, predicates in _FAMILIES.items():
        if any(getattr(pa.types, f"is_{predicate}")(kind) for predicate in predicates):
            return name
    return "nested"


_FAMILIES: dict[Type, tuple[str, ...]] = {
    "null": ("null",),
    "bool": ("boolean",),
    "int8": ("int8",),
    "int16": ("int16",),
    "int32": ("int32",),
    "int64": ("int64",),
    "uint8": ("uint8",),
    "uint16": ("uint16",),
    "uint32": ("uint32",),
    "uint64": ("uint64",),
    "float16": ("float16",),
    "float32": ("float32",),
    "float64": ("float64",),
    "decimal": ("decimal",),
    "string": ("string", "large_string", "string_view"),
    "binary": ("binary", "large_binary", "binary_view", "fixed_size_binary"),
    "date": ("date",),
    "time": ("time",),
    "duration": ("duration",),
}
