"""A few rows answered: the model's outputs as a table, with the route of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbeat.inference.prediction import Provenance
from backbeat.inference.routing import replaced, routed
from backbeat.inference.serving import Serving

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.inference.client import InferenceClient

__all__ = ["answer_rows"]


async def answer_rows(
    rows: pa.RecordBatch,
    client: InferenceClient,
    *,
    serving: Serving,
    column: str,
    request_id: str,
    doubtful: InferenceClient | None = None,
) -> tuple[pa.Table, Provenance]:
    """Ask a model about some rows, and another one about those that it is not sure of.

    Args:
        rows: What is asked.
        client: The model.
        serving: Parameters, and where unsure rows go.
        column: Name of the output where the model gives just one.
        request_id: Names the request, the same for every attempt.
        doubtful: The other model.

    Returns:
        A row for each row; where the answer comes from.
    """
    import pyarrow as pa

    found = await client.predict(rows, parameters=serving.parameters, request_id=request_id)
    table = pa.Table.from_batches([found.outputs])
    if table.num_columns == 1:
        table = table.rename_columns([column])
    if serving.at_least is None:
        return table, found.provenance
    table, unsure = routed(table, found, at_least=serving.at_least, confidence=serving.confidence)
    if doubtful is not None and len(unsure):
        again = await doubtful.predict(
            rows.take(unsure), parameters=serving.parameters, request_id=f"{request_id}-fallback"
        )
        table = replaced(table, again, unsure, column=column, confidence=serving.confidence)
    return table, found.provenance
