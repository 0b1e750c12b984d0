"""Counting numeric columns in a SQL engine by one query; one row a bin comes back.

Three ways to find a value's bin among a thousand edges, as no one way is fast everywhere: DuckDB's
`histogram` aggregate, which searches a sorted list; `WIDTH_BUCKET` of PostgreSQL and `RANGE_BUCKET`
of BigQuery, which search an array; elsewhere a balanced tree of CASE, ten deep, that any engine
understands. DuckDB counts all columns in one scan; elsewhere a UNION ALL groups each column
by its bins, which in a columnar engine reads that column only. (Turning columns into rows first
would be one scan as well, and took 3 to 4 times as long in PostgreSQL.) The mean is found before,
in the same statement: sums of differences from it are sound in every engine, whatever its own
variance is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backbeat.drift._columns import NumericColumn
from backbeat.drift._warehouse_values import Reading

__all__ = ["Tally", "count_numbers", "number_queries"]

_NAN, _BELOW, _ABOVE = -1, -2, -3
# PostgreSQL takes it as an error where squares, or their sum, overflow or vanish
_SUMMED = 1e145
_SQUARED = 1e-150
# engines refuse long statements: BigQuery and Snowflake beyond 1 MB
_EDGES_PER_QUERY = {"duckdb": 100_000, "postgres": 100_000, "bigquery": 30_000}
_BRANCHES_PER_QUERY = 6_000
_SEARCHES = {"postgres": "width_bucket", "bigquery": "range_bucket"}

_SEARCHED = ("float64", "array<float64>")

Edges = tuple[float, ...]
Columns = Sequence[tuple[Reading, Edges]]


@dataclass
class Tally:
    """What was counted of one column; rows of the result are added one by one.

    Args:
        edges: Ascending.
    """

    edges: Edges
    counts: list[int] = field(init=False)
    nulls: int = 0
    nans: int = 0
    below: int = 0
    above: int = 0
    low: float = math.inf
    high: float = -math.inf
    summed: int = 0
    centre: float = 0.0
    first: float = 0.0
    second: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.edges) + 1)

    def add(self, at: int | None, row: Mapping[str, Any]) -> None:
        """Add the rows of one bin, or of one kind of value that has no bin."""
        n = row["n"]
        if at is None:
            self.nulls += n
        elif at == _NAN:
            self.nans += n
        elif at == _BELOW:
            self.below += n
        elif at == _ABOVE:
            self.above += n
        else:
            self.counts[at] += n
            self.summarize(n, row)

    def summarize(self, n: int, row: Mapping[str, Any]) -> None:
        """Add the extremes and moments of `n` finite values."""
        if not n:
            return
        self.low, self.high = min(self.low, row["low"]), max(self.high, row["high"])
        if row["summed"]:
            self.summed += row["summed"]
            self.centre = row["centre"]
            self.first += row["first"]
            self.second += row["second"]

    def column(self, reading: Reading) -> NumericColumn:
        """The column of a profile."""
        finite = sum(self.counts)
        mean, m2 = self._moments() if finite and self.summed == finite else (None, None)
        return NumericColumn(
            family=reading.family,
            edges=self.edges,
            counts=tuple(self.counts),
            nulls=self.nulls,
            nans=self.nans,
            negative_infinite=self.below,
            positive_infinite=self.above,
            # + 0.0: -0.0 and 0.0 are one value, JSON has only one of them
            minimum=self.low + 0.0 if finite else None,
            maximum=self.high + 0.0 if finite else None,
            mean=mean,
            m2=m2,
            zoned=reading.zoned,
        )

    def _moments(self) -> tuple[float, float]:
        # two passes, with what the rounded mean left over: Chan, Golub and LeVeque 1983
        shift = self.first / self.summed
        return self.centre + shift + 0.0, max(0.0, self.second - self.first * shift)


def count_numbers(table: Any, readings: Columns, engine: str) -> dict[str, Tally]:
    """Count the columns on their edges."""
    tallies = {reading.name: Tally(edges) for reading, edges in readings}
    for part, query in number_queries(table, readings, engine):
        rows = query.to_pyarrow().to_pylist()
        if engine == "duckdb":
            for place, (reading, _) in enumerate(part):
                _read_wide(tallies[reading.name], rows[0], place)
        else:
            for row in rows:
                tallies[part[row["k"]][0].name].add(row["bin"], row)
    return tallies


def _read_wide(tally: Tally, row: Mapping[str, Any], place: int) -> None:
    prefix = f"c{place}_"
    its = {key.removeprefix(prefix): v for key, v in row.items() if key.startswith(prefix)}
    tally.nans, tally.below, tally.above = (its[key] or 0 for key in ("nans", "below", "above"))
    tally.nulls = row["n"] - its["present"]
    finite = its["present"] - tally.nans - tally.below - tally.above
    if tally.edges:
        counted = dict(its["counts"] or ())
        tally.counts = [counted.get(edge, 0) for edge in (*tally.edges, math.inf)]
    else:
        tally.counts = [finite]
    tally.summarize(finite, its)


def number_queries(table: Any, readings: Columns, engine: str) -> Iterator[tuple[Columns, Any]]:
    """The queries, as Ibis expressions, each with the columns that it counts.

    One query, unless all edges together make a statement longer than the engine takes.
    """
    for part in _parts(readings, _EDGES_PER_QUERY.get(engine, _BRANCHES_PER_QUERY)):
        yield part, _wide(table, part) if engine == "duckdb" else _long(table, part, engine)


def _parts(readings: Columns, limit: int) -> Iterator[Columns]:
    part: list[tuple[Reading, Edges]] = []
    size = 0
    for each in readings:
        if part and size + len(each[1]) > limit:
            yield part
            part, size = [], 0
        part.append(each)
        size += len(each[1])
    if part:
        yield part


def _wide(table: Any, part: Columns) -> Any:
    """One row; a map of counts per column."""
    import ibis

    histogram = ibis.udf.agg.builtin(
        lambda _values, _edges: ...,
        name="histogram",
        signature=(_SEARCHED, "map<float64, int64>"),
    )
    # names of columns go no further than here; nothing but the table is shared by both sides of
    # the join, as engines keep a copy of what a statement reads twice
    named = {f"c{place}": reading.values for place, (reading, _) in enumerate(part)}
    centres = {f"{name}_centre": _summed(values).mean() for name, values in named.items()}
    each = table.select(**named).cross_join(table.aggregate(**centres))
    found = {"n": each.count()}
    for name, (_, its) in zip(named, part, strict=True):
        values = each[name]
        infinite = values.isinf()
        finite = ibis.ifelse(values.isnan() | infinite, ibis.null("float64"), values)
        counted = {
            "present": values.count(),
            "nans": values.isnan().sum(),
            "below": (infinite & (values < 0)).sum(),
            "above": (infinite & (values > 0)).sum(),
            "low": finite.min(),
            "high": finite.max(),
            **_moments(values, each[f"{name}_centre"]),
        }
        if its:
            counted["counts"] = histogram(finite, _array("[{}]", its))
        found |= {f"{name}_{key}": value for key, value in counted.items()}
    return each.aggregate(**found)


def _long(table: Any, part: Columns, engine: str) -> Any:
    """One row per column and bin: a UNION ALL in which every part reads one column only."""
    import ibis

    parts = []
    for place, (reading, its) in enumerate(part):
        centre = table.aggregate(centre=_summed(reading.values).mean())
        each = table.select(values=reading.values).cross_join(centre)
        binned = each.select("values", "centre", bin=_bin(each["values"], its, engine))
        counted = binned.group_by("bin").aggregate(
            n=binned.count(),
            low=binned["values"].min(),
            high=binned["values"].max(),
            **_moments(binned["values"], binned["centre"]),
        )
        parts.append(counted.mutate(k=ibis.literal(place, "int32")))
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def _summed(values: Any) -> Any:
    import ibis

    # neither NaN nor an infinity is among them
    return ibis.ifelse(values.abs() <= _SUMMED, values, ibis.null("float64"))


def _moments(values: Any, centre: Any) -> dict[str, Any]:
    import ibis

    apart = _summed(values) - centre
    squared = ibis.ifelse(apart.abs() < _SQUARED, 0.0, apart)
    return {
        "summed": apart.count(),
        "centre": centre.max(),
        "first": apart.sum(),
        "second": (squared * squared).sum(),
    }


def _bin(values: Any, edges: Edges, engine: str) -> Any:
    import ibis

    infinite = values.isinf()
    return ibis.cases(
        (values.isnull(), ibis.null("int64")),
        (values.isnan(), ibis.literal(_NAN, "int64")),
        (infinite & (values < 0), ibis.literal(_BELOW, "int64")),
        (infinite, ibis.literal(_ABOVE, "int64")),
        else_=_search(values, edges, engine),
    )


def _search(values: Any, edges: Edges, engine: str) -> Any:
    """How many edges are less than the value, which is its bin."""
    import ibis

    name = _SEARCHES.get(engine)
    if name is None or not edges:
        return _tree(values, edges, 0, len(edges))

    find = ibis.udf.scalar.builtin(
        lambda _values, _edges: ..., name=name, signature=(_SEARCHED, "int64")
    )
    # the engines count edges that are less or equal; turned round, those that are greater or equal
    turned = [-edge for edge in reversed(edges)]
    array = _array("{{{}}}", turned) if engine == "postgres" else ibis.literal(turned)
    return ibis.literal(len(edges), "int64") - find(values.negate(), array)


def _tree(values: Any, edges: Edges, first: int, last: int) -> Any:
    import ibis

    if first == last:
        return ibis.literal(first, "int64")
    middle = (first + last) // 2
    return ibis.ifelse(
        values <= ibis.literal(repr(edges[middle])).cast("float64"),
        _tree(values, edges, first, middle),
        _tree(values, edges, middle + 1, last),
    )


def _array(form: str, edges: Sequence[float]) -> Any:
    import ibis

    # a literal such as 0.1 would be a decimal here, and its way to a float is not always exact
    return ibis.literal(form.format(",".join(map(repr, edges)))).cast("array<float64>")
