"""Embeddings of OpenAI's API: a column of texts, and a vector for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backbeat.errors import ContractBroken, InvalidAnswer
from backbeat.inference.address import Endpoint
from backbeat.inference.protocols.json_answers import member

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MOST_ROWS", "PARAMETERS", "as_body", "as_columns"]

MOST_ROWS = 2048
"""Texts of a request, as OpenAI itself limits it."""

PARAMETERS = frozenset({"dimensions"})

_INPUT = "input"


def as_body(rows: pa.RecordBatch, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Rows as what is sent, without the model's name.

    Args:
        rows: One column `input` of text.
        parameters: Of `PARAMETERS`.

    Raises:
        ContractBroken: There are other columns, or a row without text.
    """
    if rows.schema.names != [_INPUT]:
        raise ContractBroken(
            f"An embedding is of one column {_INPUT!r}, and there are "
            f"{', '.join(rows.schema.names) or 'none'}.",
            hint=f"give the rows one column of text and call it {_INPUT!r}",
        )
    texts = rows.column(0).to_pylist()
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise ContractBroken(
                f"Row {number} of column {_INPUT!r} is no text but {type(text).__name__}.",
                hint="leave out rows without a text, and cast other types to text",
            )
    return {_INPUT: texts, **parameters}


def as_columns(endpoint: Endpoint, answer: Any, rows: int) -> pa.RecordBatch:
    """An answer as one column `embedding`, a FixedSizeList of float.

    Args:
        endpoint: Who answered.
        answer: What it answered.
        rows: How many texts it was asked about.

    Raises:
        InvalidAnswer: There is not one vector for each text, or they differ in their size.
    """
    import numpy as np
    import pyarrow as pa

    data = member(endpoint, answer, "data")
    vectors: dict[int, Any] = {}
    for place, entry in enumerate(data if isinstance(data, list) else []):
        vector = member(endpoint, entry, "embedding")
        index = entry.get("index", place)
        vectors[index if type(index) is int else -1] = vector
    if not isinstance(data, list) or len(data) != rows or vectors.keys() != set(range(rows)):
        raise InvalidAnswer(
            f"{endpoint.authority} answered {rows} texts with "
            f"{len(data) if isinstance(data, list) else 'no list of'} embeddings.",
            hint="send fewer rows in a request, or look whether the model takes many texts",
        )
    try:
        table = np.array([vectors[place] for place in range(rows)])
    except ValueError as error:
        raise _uneven(endpoint) from error
    if table.ndim != 2 or not table.shape[1] or table.dtype.kind not in "fiu":  # noqa: PLR2004 - rows of numbers
        raise _uneven(endpoint)
    flat = pa.array(table.astype(np.float32).ravel())
    return pa.record_batch({"embedding": pa.FixedSizeListArray.from_arrays(flat, table.shape[1])})


def _uneven(endpoint: Endpoint) -> InvalidAnswer:
    return InvalidAnswer(
        f"{endpoint.authority} answered with embeddings that are not vectors of one size.",
        hint="look whether the model gives embeddings",
    )
