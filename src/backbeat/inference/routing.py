"""The confidence route: a sure answer is taken, the others go to another model or to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbeat.errors import InvalidStep
from backbeat.inference.prediction import CONFIDENCE, Prediction, confidence_of, served_version

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["replaced", "routed"]


def routed(
    table: pa.Table, found: Prediction, *, at_least: float, confidence: str | None
) -> tuple[pa.Table, pa.Array]:
    """Say of each row where it goes.

    Args:
        table: The answers.
        found: The same as the model gave them.
        at_least: The confidence from which on an answer is taken; one that is null is not.
        confidence: The output that says it, see `confidence_of`.

    Returns:
        The table with `confidence` and `route` (`accept` or `review`), and the places of the rows
        that are not sure.

    Raises:
        InvalidStep: The model gives no confidence.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    sure = confidence_of(found.outputs, confidence)
    if sure is None:
        raise InvalidStep(
            f"{found.provenance.address} gives no confidence to route by.",
            hint="name the output that holds it as `confidence`, or leave out `at_least`",
        )
    unsure = pc.fill_null(pc.less(sure, at_least), fill_value=True)
    if CONFIDENCE not in table.column_names:
        table = table.append_column(CONFIDENCE, sure)
    route = pc.if_else(unsure, "review", "accept")
    return table.append_column("route", pa.array(route)), pc.indices_nonzero(unsure)


def replaced(
    table: pa.Table, again: Prediction, places: pa.Array, *, column: str, confidence: str | None
) -> pa.Table:
    """Put another model's answers in some places; their `route` is `fallback`.

    Args:
        table: What `routed` gave.
        again: The other model's answers, one a place.
        places: Rows of the table.
        column: Name of an output that has no other beside it.
        confidence: The output that says how sure the first model is; looked for here too.

    Raises:
        InvalidStep: The other model does not give the same outputs.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    other = pa.Table.from_batches([again.outputs])
    if other.num_columns == 1:
        other = other.rename_columns([column])
    named = confidence if confidence in again.outputs.schema.names else None
    sure = confidence_of(again.outputs, named)
    labels = {
        CONFIDENCE: pa.nulls(len(other), pa.float64()) if sure is None else sure,
        "route": pa.array(["fallback"] * len(other)),
        "model_version": pa.array([served_version(again.provenance)] * len(other), pa.string()),
    }
    if "model_version" not in table.column_names:
        table = table.append_column("model_version", pa.nulls(len(table), pa.string()))
    # where each row is found: in the table itself, or behind its end
    order = list(range(len(table)))
    for at, place in enumerate(places.to_pylist()):
        order[place] = len(table) + at
    columns = {}
    for name in table.column_names:
        if name not in labels and name not in other.column_names:
            raise InvalidStep(
                f"The model for doubtful rows gives no output {name!r}.",
                hint=f"it gives {', '.join(other.column_names)}; serve both with the same outputs",
            )
        theirs = pa.chunked_array(labels[name] if name in labels else other.column(name))
        ours = table.column(name)
        both = pa.chunked_array([*ours.chunks, *theirs.cast(ours.type).chunks])
        columns[name] = pc.take(both, pa.array(order))
    return pa.table(columns)
