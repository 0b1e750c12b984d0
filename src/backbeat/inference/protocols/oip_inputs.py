"""Rows as the tensors that a model takes: whole columns at once, and no value made another."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backbeat.errors import ContractBroken
from backbeat.inference.protocol import Field, ModelInfo
from backbeat.inference.protocols.oip_casts import as_datatype, refuse_nulls
from backbeat.inference.protocols.oip_tensors import (
    TYPES,
    Tensor,
    datatype_of,
    numpy_type,
    plain_array,
)

__all__ = ["as_tensors"]

_VECTOR = 2


def as_tensors(info: ModelInfo, rows: pa.RecordBatch) -> list[Tensor]:
    """Rows as a model's inputs.

    Where every input is a column, inputs go by name, and other columns are left out. Else a model
    of one input takes the one column that there is, or, where it takes vectors, all columns beside
    each other in the order given. A model that declares nothing gets every column as it is.

    Args:
        info: What the model's server says that it takes.
        rows: Lists and tensors of one size make a tensor of more dimensions; text, binary and
            documents are BYTES.

    Returns:
        A tensor for each input, its shape that of the model with the number of rows in front.

    Raises:
        ContractBroken: A column is missing, null somewhere, of another size, or of a type that the
            model's cannot hold without a loss; a retry will not help.
    """
    names = rows.schema.names
    if len(set(names)) != len(names):
        raise _unlike(info, rows, "two columns have one name")
    if not info.inputs:
        return [_as_it_is(name, rows.column(name)) for name in names]
    if all(field.name in names for field in info.inputs):
        return [_tensor(info, rows, field, rows.column(field.name)) for field in info.inputs]
    if len(info.inputs) != 1:
        missing = [field.name for field in info.inputs if field.name not in names]
        raise _unlike(info, rows, f"there is no column {', '.join(missing)}")
    (field,) = info.inputs
    if len(names) == 1:
        return [_tensor(info, rows, field, rows.column(0))]
    if len(field.shape) != _VECTOR or field.datatype not in TYPES or field.datatype == "BYTES":
        raise _unlike(info, rows, f"{len(names)} columns cannot be one {field.datatype}")
    return [_stacked(info, rows, field)]


def _tensor(info: ModelInfo, rows: pa.RecordBatch, field: Field, column: pa.Array) -> Tensor:
    count, wanted = rows.num_rows, field.shape[1:]
    if field.shape[:1] not in {(-1,), (count,)}:
        raise _unlike(info, rows, f"there are {count} rows for {field.name!r}")
    flat, sizes = _flat(field.name, column)
    if not _fits(sizes, wanted):
        fixed = -1 not in wanted and math.prod(sizes) == math.prod(wanted)
        # a scalar is a vector of one, and an image may lie there in one list
        if not (sizes == () and wanted == (-1,)) and not (fixed and len(sizes) <= 1):
            raise _unlike(info, rows, f"column {field.name!r} has rows of size {list(sizes)}")
        sizes = wanted if fixed else (1,)
    values = as_datatype(flat, field.datatype, field.name, math.prod(sizes))
    return Tensor(field.name, field.datatype, (count, *sizes), values)


def _stacked(info: ModelInfo, rows: pa.RecordBatch, field: Field) -> Tensor:
    count, width = rows.num_rows, rows.num_columns
    if field.shape[0] not in {-1, count}:
        raise _unlike(info, rows, f"there are {count} rows for {field.name!r}")
    if field.shape[1] not in {-1, width}:
        raise _unlike(info, rows, f"{width} columns cannot be {field.shape[1]} features")
    kind = TYPES[field.datatype]
    columns = rows.columns
    plain = all(column.type == kind and not column.null_count for column in columns)
    if plain and count == 1:
        return Tensor(field.name, field.datatype, (1, width), pa.concat_arrays(columns))
    matrix = np.empty((count, width), numpy_type(field.datatype))
    if plain:
        # what most rows are: nothing to cast, nothing to refuse
        for place, column in enumerate(columns):
            matrix[:, place] = column.to_numpy()
        return Tensor(field.name, field.datatype, matrix.shape, plain_array(matrix.reshape(-1)))
    for place, (name, column) in enumerate(zip(rows.schema.names, columns, strict=True)):
        flat, sizes = _flat(name, column)
        if sizes:
            raise _unlike(info, rows, f"column {name!r} has rows of size {list(sizes)}")
        values = as_datatype(flat, field.datatype, name, 1)
        matrix[:, place] = values.to_numpy(zero_copy_only=False)
    return Tensor(field.name, field.datatype, matrix.shape, plain_array(matrix.reshape(-1)))


def _as_it_is(name: str, column: pa.Array) -> Tensor:
    flat, sizes = _flat(name, column)
    datatype = datatype_of(flat.type)
    if not datatype:
        raise ContractBroken(
            f"Column {name!r} is of type {column.type}, for which there is no datatype, and the "
            "model does not say what it takes.",
            hint="cast it to a number or to text, or let the model declare its inputs",
        )
    values = as_datatype(flat, datatype, name, math.prod(sizes))
    return Tensor(name, datatype, (len(column), *sizes), values)


def _flat(name: str, column: pa.Array) -> tuple[pa.Array, tuple[int, ...]]:
    """All values of a column one after the other, and the sizes of one row."""
    kind = column.type
    if isinstance(kind, pa.FixedShapeTensorType):
        order = list(range(len(kind.shape)))
        if kind.permutation not in {None, tuple(order)} and kind.permutation != order:
            raise ContractBroken(
                f"Column {name!r} holds tensors whose dimensions lie in the order "
                f"{kind.permutation}.",
                hint="lay them out in row-major order",
            )
        flat, _ = _flat(name, column.storage)
        return flat, tuple(kind.shape)
    if isinstance(kind, pa.BaseExtensionType):
        return _flat(name, column.storage)
    if pa.types.is_dictionary(kind):
        return _flat(name, column.dictionary_decode())
    if pa.types.is_fixed_size_list(kind):
        refuse_nulls(column, name, 1)
        # flatten and not values: a slice's own
        flat, inner = _flat(name, column.flatten())
        return flat, (kind.list_size, *inner)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        refuse_nulls(column, name, 1)
        size = _one_size(name, pc.list_value_length(column))
        flat, inner = _flat(name, column.flatten())
        return flat, (size, *inner)
    return column, ()


def _one_size(name: str, lengths: pa.Array) -> int:
    if not len(lengths):
        return 0
    first: int = lengths[0].as_py()
    other = pc.index(pc.equal(lengths, first), value=False).as_py()
    if other >= 0:
        raise ContractBroken(
            f"Column {name!r} has lists of {first} and, in row {other}, of "
            f"{lengths[other].as_py()}; a tensor's are of one size.",
            hint="cut or fill them to one size in the preparation of the rows",
        )
    return first


def _fits(sizes: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(sizes) == len(wanted) and all(
        want in {-1, size} for size, want in zip(sizes, wanted, strict=True)
    )


def _unlike(info: ModelInfo, rows: pa.RecordBatch, why: str) -> ContractBroken:
    takes = _listed(f"{field.name} {field.datatype} {list(field.shape)}" for field in info.inputs)
    given = _listed(f"{field.name} {field.type}" for field in rows.schema)
    return ContractBroken(
        f"The rows are not what {info.name or 'the model'} takes: {why}. It takes {takes}; the "
        f"rows have {given}.",
        hint="select and name the columns as the model has them",
    )


def _listed(words: Iterable[str]) -> str:
    known = list(words)
    shown = ", ".join(known[:20])
    return f"{shown} and {len(known) - 20} more" if len(known) > 20 else shown or "nothing"  # noqa: PLR2004
