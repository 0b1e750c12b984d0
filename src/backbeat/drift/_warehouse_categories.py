"""Counting categories in a SQL engine: one GROUP BY a column, a second one beyond 10,000 names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backbeat.drift._columns import CategoricalColumn
from backbeat.drift._count import CATEGORIES_BY_NAME, CATEGORIES_KEPT
from backbeat.drift._distinct import distinct_sketch
from backbeat.drift._warehouse_values import Reading

__all__ = ["count_categories", "frequent_query", "listed_query", "named_query"]


def count_categories(
    table: Any, reading: Reading, frozen: CategoricalColumn | None
) -> CategoricalColumn:
    """Count a column by name, or on the reference's frozen list.

    Args:
        table: The Ibis table.
        reading: The column.
        frozen: The reference's column, None without one.
    """
    named = named_query(table, reading).to_pyarrow().to_pylist()
    counts = {row["name"]: row["n"] for row in named}
    if len(named) <= CATEGORIES_BY_NAME + 1:
        nulls = counts.pop(None, 0)
        if len(counts) <= CATEGORIES_BY_NAME:
            column = CategoricalColumn(counts=counts, nulls=nulls)
            if frozen is None or frozen.complete:
                return column
            return column.folded(frozenset(frozen.counts))
    if frozen is None:
        frequent = frequent_query(table, reading).to_pyarrow().to_pylist()
        names = [row["name"] for row in frequent]
    else:
        names = list(frozen.counts)
    return _on_list(table, reading, names, seen={name for name in counts if name is not None})


def _on_list(
    table: Any, reading: Reading, names: Sequence[str], seen: set[str]
) -> CategoricalColumn:
    counts = dict.fromkeys(names, 0)
    other = nulls = 0
    for row in listed_query(table, reading, names).to_pyarrow().to_pylist():
        if row["missing"]:
            nulls += row["n"]
        elif row["name"] is None:
            other += row["n"]
        else:
            counts[row["name"]] = row["n"]
    occurring = (name for name, count in counts.items() if count)
    return CategoricalColumn(
        counts=counts,
        other=other,
        nulls=nulls,
        complete=False,
        distinct=distinct_sketch([*seen, *occurring]),
    )


def named_query(table: Any, reading: Reading) -> Any:
    """Rows per name, null among them; what is over the limit only tells that there is more."""
    names = table.select(name=reading.values)
    counted = names.group_by("name").aggregate(n=names.count())
    return counted.order_by("name").limit(CATEGORIES_BY_NAME + 2)


def frequent_query(table: Any, reading: Reading) -> Any:
    """The names to keep, most frequent first."""
    import ibis

    names = table.select(name=reading.values)
    names = names.filter(names["name"].notnull())
    counted = names.group_by("name").aggregate(n=names.count())
    return counted.order_by(ibis.desc("n"), "name").limit(CATEGORIES_KEPT)


def listed_query(table: Any, reading: Reading, names: Sequence[str]) -> Any:
    """Rows per listed name, all other names together, and nulls."""
    import ibis

    found = table.select(name=reading.values)
    name = found["name"]
    kept = (
        ibis.ifelse(name.isin(names), name, ibis.null("string")) if names else ibis.null("string")
    )
    listed = found.select(name=kept, missing=name.isnull())
    return listed.group_by("name", "missing").aggregate(n=listed.count())
