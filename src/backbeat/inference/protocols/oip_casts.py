"""A column's values as a model's datatype, where nothing is lost; the row where something would be.

Only a model that asks for fewer bits gets them: float64 becomes FP32 by rounding, and NaN and
infinities stay what they are.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backbeat.errors import ContractBroken
from backbeat.inference.protocols.oip_tensors import TYPES, datatype_of, numpy_type

__all__ = ["as_datatype", "refuse_nulls"]

# a float of so many bits counts every integer up to this
_EXACT = {"FP16": 2**11, "FP32": 2**24, "FP64": 2**53}


def as_datatype(values: pa.Array, datatype: str, name: str, per_row: int) -> pa.Array:
    """Values of the datatype's Arrow type.

    Args:
        values: A column's, one after the other.
        datatype: What the model asks for.
        name: The column, to be named in an error.
        per_row: How many values a row has.

    Raises:
        ContractBroken: A value is null or would be another, or text is to be a number; a retry will
            not help.
    """
    refuse_nulls(values, name, per_row)
    given = datatype_of(values.type)
    text = given == "BYTES"
    if datatype not in TYPES or not given or text != (datatype == "BYTES"):
        raise _unlike(name, values.type, datatype)
    kind = TYPES[datatype]
    if given == datatype:
        return values.cast(kind) if values.type != kind else values
    if datatype == "BOOL":
        raise _unlike(name, values.type, datatype)
    if pa.types.is_floating(kind):
        return _floats(values, datatype, name, per_row)
    try:
        # a boolean is 0 or 1; a float that is no whole number is refused
        return values.cast(kind)
    except pa.ArrowInvalid as error:
        raise ContractBroken(
            f"Column {name!r} is {values.type} and holds what {datatype} cannot: {error}.",
            hint="cast it in the preparation of the rows, or let the model take a wider type",
        ) from error


def refuse_nulls(values: pa.Array, name: str, per_row: int) -> None:
    """Raise ContractBroken where a value is null: a tensor has no word for it."""
    if not values.null_count:
        return
    place = pc.index(values.is_valid(), value=False).as_py()
    raise ContractBroken(
        f"Column {name!r} is null in row {place // max(per_row, 1)}, and a tensor has no nulls.",
        hint="fill it in the preparation of the rows, with NaN where the model knows NaN",
    )


def _floats(values: pa.Array, datatype: str, name: str, per_row: int) -> pa.Array:
    kind = TYPES[datatype]
    given = values.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        made = given.astype(numpy_type(datatype))
    if given.dtype.kind == "f":
        wrong = np.isinf(made) & ~np.isinf(given) if made.itemsize < given.itemsize else None
    elif given.dtype.kind == "b":
        wrong = None
    else:
        most = _EXACT[datatype]
        wrong = (given > most) | (given < -most) if given.dtype.kind == "i" else given > most
    if wrong is not None and wrong.any():
        place = int(wrong.argmax())
        raise ContractBroken(
            f"Column {name!r} is {values.type} and holds {given[place]} in row "
            f"{place // max(per_row, 1)}, which {datatype} cannot hold.",
            hint="cast it in the preparation of the rows, or let the model take a wider type",
        )
    return pa.array(made, kind)


def _unlike(name: str, kind: pa.DataType, datatype: str) -> ContractBroken:
    return ContractBroken(
        f"Column {name!r} is {kind}, and the model takes {datatype}.",
        hint="cast it in the preparation of the rows",
    )
