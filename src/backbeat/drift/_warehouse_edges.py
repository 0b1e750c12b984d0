"""The edges of a first profile, from a SQL engine: exact quantiles, the same on every engine."""

from __future__ import annotations

import math
from typing import Any

from backbeat.drift._warehouse_values import Reading

__all__ = ["distinct_query", "find_edges", "quantile_query"]


def find_edges(table: Any, reading: Reading, bins: int) -> tuple[float, ...]:
    """Ascending finite edges of one column: all distinct values where few, else quantiles.

    Two queries, the second of which sorts the column; no estimate of the engine's own is used, as
    two engines, or two runs, would choose different edges.
    """
    few = distinct_query(table, reading, bins).to_pyarrow()["values"].to_pylist()
    if not few:
        return ()
    if len(few) > bins:
        parts = quantile_query(table, reading, bins).to_pyarrow().to_pylist()
        few = [min(part["low"] for part in parts), *(part["high"] for part in parts)]
    found = sorted({value + 0.0 for value in few})
    # the first edge lies just under the smallest value, as in `EdgeFinder`
    below = math.nextafter(found[0], -math.inf)
    return (below, *found) if math.isfinite(below) else tuple(found)


def _finite(table: Any, reading: Reading) -> Any:
    numbers = table.select(values=reading.values)
    values = numbers["values"]
    return numbers.filter(values.notnull(), ~values.isnan(), ~values.isinf())


def distinct_query(table: Any, reading: Reading, bins: int) -> Any:
    """The distinct values, one more than `bins` of them at most."""
    return _finite(table, reading).distinct().order_by("values").limit(bins + 1)


def quantile_query(table: Any, reading: Reading, bins: int) -> Any:
    """The ends of each of `bins` equally large parts of the sorted values."""
    import ibis

    numbers = _finite(table, reading)
    values = numbers["values"]
    parts = numbers.select(values=values, part=ibis.ntile(bins).over(order_by=values))
    return parts.group_by("part").aggregate(low=parts["values"].min(), high=parts["values"].max())
