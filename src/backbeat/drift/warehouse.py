"""Profiles of tables in a SQL engine: the engine counts, only the counts travel.

`profile_table` is `build_profile` for rows that should stay where they are: a warehouse, a
database, or Parquet that DuckDB reads. All numeric columns are counted by one query, which returns
one row a bin; every categorical column by a GROUP BY of its own, whose rows are names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backbeat.drift._columns import CategoricalColumn, NumericColumn
from backbeat.drift._warehouse_categories import count_categories
from backbeat.drift._warehouse_edges import find_edges
from backbeat.drift._warehouse_numbers import count_numbers
from backbeat.drift._warehouse_values import Reading, readings
from backbeat.drift.profile import Profile
from backbeat.errors import InvalidData, UnmetNeed, Unreachable

if TYPE_CHECKING:
    import ibis

__all__ = ["profile_table"]


def profile_table(
    table: ibis.Table,
    *,
    edges_from: Profile | None = None,
    columns: Sequence[str] | None = None,
    bins: int = 1000,
    model: str | None = None,
    partition: str = "",
) -> Profile:
    """Count a table where it lives, on the edges of a stored profile.

    The counts are those that `build_profile` finds in the same rows as Parquet, to the row; mean
    and squared differences agree to about 1e-9 (they are None beyond 1e145, whose squares may
    overflow). Run on DuckDB and PostgreSQL; on Snowflake and BigQuery the queries are only known to
    be their SQL.

    Without `edges_from` the edges are exact quantiles, found with a sort of every numeric column;
    for a table too large to sort, profile one partition first and use its edges.

    The queries see the table one after the other: on one that changes meanwhile, pass a snapshot
    (`AT`, `FOR SYSTEM_TIME AS OF`), or run in one REPEATABLE READ transaction.

    Args:
        table: An Ibis table, or what its methods make of one, such as
            `events.filter(events.day == day)`.
        edges_from: The reference whose edges and lists of categories are used.
        columns: The columns to count, None for all. With `edges_from`, one that only the table
            lacks is left out, so that `decide` can name it.
        bins: About how many bins a numeric column without edges is cut into.
        model: The model version that these rows trained.
        partition: Which part of the data the rows are, such as an ISO day.

    Returns:
        The profile, without segments. Beyond 10,000 categories a column's number of distinct ones
        is only known to be more.

    Raises:
        ContractBroken: A column is missing, has no distribution, or is computed in Python from
            others, such as features of a text.
        InvalidData: The engine refused a query, or the table changed between two of them.
        UnmetNeed: `backbeat[warehouse]` is not installed, or the engine lacks a function.
        Unreachable: The engine did not answer; a retry can help.
    """
    with _engine_errors():
        engine = table.get_backend().name
        found = readings(table, columns, edges_from, engine)
        counted = _counted(table, found, edges_from, bins, engine)
    totals = {column.present + column.missing for column in counted.values()}
    if len(totals) > 1:
        raise InvalidData(
            "The table changed while it was profiled: its queries saw different rows.",
            hint="profile a snapshot of the table, or a partition that nobody writes to any more",
        )
    same_edges = edges_from is not None and counted.keys() <= edges_from.columns.keys()
    return Profile(
        rows=totals.pop(),
        columns=counted,
        model=model,
        partition=partition,
        derivations=() if edges_from is None else edges_from.derivations,
        edges_digest=edges_from.edges_digest if edges_from is not None and same_edges else "",
    )


def _counted(
    table: ibis.Table, found: Sequence[Reading], edges_from: Profile | None, bins: int, engine: str
) -> dict[str, NumericColumn | CategoricalColumn]:
    reference = {} if edges_from is None else edges_from.columns
    numeric: list[tuple[Reading, tuple[float, ...]]] = []
    for reading in found:
        frozen = reference.get(reading.name)
        if reading.family == "category":
            continue
        if isinstance(frozen, NumericColumn):
            numeric.append((reading, frozen.edges))
        else:
            numeric.append((reading, find_edges(table, reading, bins)))
    tallies = count_numbers(table, numeric, engine)
    counted: dict[str, NumericColumn | CategoricalColumn] = {}
    for reading in found:
        frozen = reference.get(reading.name)
        if reading.family == "category":
            listed = frozen if isinstance(frozen, CategoricalColumn) else None
            counted[reading.name] = count_categories(table, reading, listed)
        else:
            counted[reading.name] = tallies[reading.name].column(reading)
    return counted


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        from ibis.common.exceptions import IbisError
    except ImportError as error:
        raise UnmetNeed(
            "Profiling a table in a SQL engine needs Ibis, which is not installed.",
            hint="install backbeat[warehouse]",
        ) from error
    try:
        yield
    except IbisError as error:
        raise UnmetNeed(
            f"Ibis cannot ask this engine for the counts: {error}.",
            hint="leave the column out with `columns`, or export the rows and use `build_profile`",
        ) from error
    except Exception as error:
        # PEP 249 names the errors of every driver alike
        names = {each.__name__ for each in type(error).__mro__}
        if names & {"OperationalError", "InterfaceError"} or isinstance(error, ConnectionError):
            raise Unreachable(
                f"The engine did not answer: {error}.", hint="check the connection and its timeouts"
            ) from error
        if names & {"DatabaseError"}:
            raise InvalidData(
                f"The engine refused to count: {error}.", hint="run the query by hand to see why"
            ) from error
        raise
