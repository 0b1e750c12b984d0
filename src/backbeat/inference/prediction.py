"""What a model said, and where that comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backbeat.canonical import canonical_bytes
from backbeat.errors import InvalidStep

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CONFIDENCE",
    "Prediction",
    "Provenance",
    "confidence_of",
    "input_digest",
    "model_named",
    "served_version",
]

_NOTHING = canonical_bytes({})

CONFIDENCE = "confidence"
"""The output that a model's own confidence is looked for in, where none is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Which model said it, asked by whom and how.

    Args:
        address: The model's address.
        model: Its name, as the server says it.
        version: Its version, as the server says it; empty where it does not.
        server: Name and version of the server.
        request_id: Ours; sent as `x-request-id`, the same for every attempt.
        server_request_id: What the server calls the request.
        input_digest: Of the rows that were sent.
        parameters: The model's own parameters, such as a temperature and a seed.
        attempts: Requests that were sent for it.
        seconds: From the first attempt to the answer, waits included.
        usage: Counted by the server: `input_tokens`, `output_tokens`.
        instead_of: The address of the model that could not answer, where this is its fallback.
    """

    address: str
    model: str
    version: str
    server: str
    request_id: str
    server_request_id: str
    input_digest: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 1
    seconds: float = 0.0
    usage: Mapping[str, int] = field(default_factory=dict)
    instead_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A model's answer.

    Args:
        outputs: One row for each row that was asked about, one column for each output.
        provenance: Where it comes from.
    """

    outputs: pa.RecordBatch
    provenance: Provenance


def confidence_of(outputs: pa.RecordBatch, column: str | None = None) -> pa.Array | None:
    """How sure the model is, a number between 0 and 1 a row.

    Args:
        outputs: Its answer.
        column: The output that says it: a number, or a vector of probabilities, whose greatest
            counts. Where None, `confidence` if the model gives that.

    Returns:
        float64, null where the output is; None where the model gives no confidence.

    Raises:
        InvalidStep: There is no such output, or it holds no numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    at = outputs.schema.get_field_index(column or CONFIDENCE)
    if at < 0:
        if column is None:
            return None
        raise InvalidStep(
            f"The model gives no output {column!r} to take its confidence from.",
            hint=f"name one of {', '.join(outputs.schema.names)}",
        )
    found = outputs.column(at)
    if pa.types.is_fixed_size_list(found.type) or pa.types.is_list(found.type):
        found = pa.array([None if row is None else max(row) for row in found.to_pylist()])
    try:
        return pc.cast(found, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidStep(
            f"The output {column or CONFIDENCE!r} holds {found.type}, not a confidence.",
            hint="name an output of numbers between 0 and 1",
        ) from error


def input_digest(rows: pa.RecordBatch, parameters: Mapping[str, Any]) -> str:
    """`sha256:<hex>` of rows and parameters: what is asked, whoever is asked.

    It is of the rows' Arrow IPC form, so the same values in another type have another one.
    """
    found = hashlib.sha256(canonical_bytes(dict(parameters)) if parameters else _NOTHING)
    found.update(rows.schema.serialize())
    found.update(rows.serialize())
    return f"sha256:{found.hexdigest()}"


def served_version(origin: Provenance) -> str:
    """What names the model that answered: its address, and its version where that is known."""
    return model_named(origin.address, origin.version)


def model_named(address: str, version: str) -> str:
    """The same of an address and a version, which may be empty."""
    return f"{address}@{version}" if version else address
