"""A few rows answered: the model's outputs as a table, with the route of each row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from backbeat.inference.parts import ask_in_parts
from backbeat.inference.prediction import Prediction, Provenance
from backbeat.inference.routing import replaced, routed
from backbeat.inference.serving import Serving
from backbeat.inference.tally import Tally

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
    tally: Tally,
    settle: Callable[[float], Awaitable[None]],
    doubtful: InferenceClient | None = None,
) -> tuple[pa.Table, Provenance]:
    """Ask a model about some rows, and another one about those that it is not sure of.

    Rows that are more than a request can hold are asked in several.

    Args:
        rows: What is asked.
        client: The model.
        serving: Parameters, and where unsure rows go.
        column: Name of the output where the model gives just one.
        request_id: Names the request, the same for every attempt.
        tally: Counts every answered request.
        settle: Awaited with the cost of each.
        doubtful: The other model.

    Returns:
        A row for each row; where the answer comes from.
    """
    import pyarrow as pa

    async def ask(whom: InferenceClient, what: pa.RecordBatch, name: str) -> Prediction:
        async def one(part: pa.RecordBatch, request_id: str) -> Prediction:
            answer = await whom.predict(part, parameters=serving.parameters, request_id=request_id)
            await settle(tally.count(answer.provenance))
            return answer

        return await ask_in_parts(one, whom, what, request_id=name)

    found = await ask(client, rows, request_id)
    tally.breaker = client.breaker
    table = pa.Table.from_batches([found.outputs])
    if table.num_columns == 1:
        table = table.rename_columns([column])
    if serving.at_least is None:
        return table, found.provenance
    table, unsure = routed(table, found, at_least=serving.at_least, confidence=serving.confidence)
    if doubtful is not None and len(unsure):
        again = await ask(doubtful, rows.take(unsure), f"{request_id}-fallback")
        table = replaced(table, again, unsure, column=column, confidence=serving.confidence)
    return table, found.provenance
