"""Rows that are more than one request can hold, asked in parts and answered as one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from backbeat.inference.prediction import Prediction, input_digest

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.inference.client import InferenceClient

__all__ = ["ask_in_parts"]


async def ask_in_parts(
    predict: Callable[[pa.RecordBatch, str], Awaitable[Prediction]],
    client: InferenceClient,
    rows: pa.RecordBatch,
    *,
    request_id: str,
) -> Prediction:
    """Ask about rows in as few requests as the model's protocol lets them be.

    The parts are under way together, as many as the client's policy allows; the first error ends
    them all.

    Args:
        predict: Asks about some of them, under a name.
        client: Says how many rows a request can hold.
        rows: All of them.
        request_id: Names the whole; parts have a number behind it.

    Returns:
        One answer; its provenance is that of the first part, with what was counted added up.

    Raises:
        BackbeatError: What kept a part from its answer.
    """
    most = client.protocol.rows_a_request(client.endpoint) or rows.num_rows
    if rows.num_rows <= most:
        return await predict(rows, request_id)
    began = asyncio.get_running_loop().time()
    tasks = [
        asyncio.ensure_future(predict(rows.slice(start, most), f"{request_id}-{start}"))
        for start in range(0, rows.num_rows, most)
    ]
    try:
        found = await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    seconds = asyncio.get_running_loop().time() - began
    return _as_one(found, rows, request_id=request_id, seconds=seconds)


def _as_one(
    found: Sequence[Prediction], rows: pa.RecordBatch, *, request_id: str, seconds: float
) -> Prediction:
    import pyarrow as pa

    tables = [pa.Table.from_batches([part.outputs]) for part in found]
    whole = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    usage: Counter[str] = Counter()
    for part in found:
        usage.update(part.provenance.usage)
    # another model may have stood in for some of them: it is the one to be named
    first = next((part for part in found if part.provenance.instead_of), found[0]).provenance
    return Prediction(
        outputs=whole.to_batches()[0],
        provenance=replace(
            first,
            request_id=request_id,
            input_digest=input_digest(rows, first.parameters),
            attempts=sum(part.provenance.attempts for part in found),
            seconds=seconds,
            usage=dict(usage),
        ),
    )
