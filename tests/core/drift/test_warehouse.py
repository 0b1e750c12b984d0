from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backbeat.drift import Profile, build_profile, decide
from backbeat.drift.profile import CategoricalColumn, NumericColumn
from backbeat.errors import ContractBroken, InvalidData, Unreachable

ibis = pytest.importorskip("ibis", reason="pip install backbeat[warehouse]")
sqlglot = pytest.importorskip("sqlglot", reason="pip install backbeat[warehouse]")

from backbeat.drift._warehouse_categories import listed_query, named_query  # noqa: E402
from backbeat.drift._warehouse_edges import distinct_query, quantile_query  # noqa: E402
from backbeat.drift._warehouse_numbers import count_numbers, number_queries  # noqa: E402
from backbeat.drift._warehouse_values import readings  # noqa: E402
from backbeat.drift.warehouse import profile_table  # noqa: E402

# Ibis 12 does not know yet that DuckDB and pandas have newer names for what it calls
pytestmark = [
    pytest.mark.filterwarnings("ignore:fetch_arrow_table"),
    pytest.mark.filterwarnings("ignore:The 'future.infer_string' option"),
]

Load = Callable[[pa.Table], Any]

HOSTILE = ['x"; DROP TABLE t; --', "x`; DROP TABLE t; --", "50%s %(a)s", "k", "values", "größe"]
NAMES = ["a", "ü", "", " ", "'); DROP TABLE t; --", "\\", '"', "%s", "🙂", "null"]
FLOATS = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1.0, 0.1, math.nan, math.inf, -math.inf]),
    st.floats(-1e9, 1e9),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
ROWS = st.lists(st.tuples(FLOATS, st.sampled_from([*NAMES, None])), max_size=30)


@pytest.fixture
def duckdb() -> Iterator[Load]:
    """Puts rows into a DuckDB of their own."""
    opened = []

    def load(rows: pa.Table) -> Any:
        connection = ibis.duckdb.connect()
        opened.append(connection)
        connection.con.register("rows", rows)
        connection.con.execute("CREATE TABLE t AS SELECT * FROM rows")
        return connection.table("t")

    yield load
    for connection in opened:
        connection.disconnect()


@pytest.fixture
def postgres_table(new_database: Callable[..., str]) -> Iterator[Load]:
    """Puts rows into a PostgreSQL database, whose sessions are in London."""
    url = urlsplit(new_database(template="template1"))
    connection = ibis.postgres.connect(
        host=parse_qs(url.query)["host"][0], user=url.username, database=url.path[1:]
    )
    driver = connection.con
    driver.execute("SET TIME ZONE 'Europe/London'")

    def load(rows: pa.Table) -> Any:
        columns = ", ".join(
            f"{_quoted(field.name)} {_postgres_type(field.type)}" for field in rows.schema
        )
        with driver.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t ({columns})")
            with cursor.copy("COPY t FROM STDIN") as copy:
                for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                    copy.write_row(row)
        driver.commit()
        return connection.table("t")

    yield load
    connection.disconnect()


@pytest.fixture(params=["duckdb", "postgres"])
def load(request: pytest.FixtureRequest) -> Load:
    """Puts rows into one engine after the other."""
    name = {"duckdb": "duckdb", "postgres": "postgres_table"}[request.param]
    found: Load = request.getfixturevalue(name)
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _postgres_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    return {
        "double": "float8",
        "float": "float4",
        "int64": "int8",
        "bool": "bool",
        "date32[day]": "date",
        "time64[us]": "time",
        "timestamp[us]": "timestamp",
        "timestamp[us, tz=UTC]": "timestamptz",
        "duration[us]": "interval",
        "string": "text",
        "list<item: int64>": "int8[]",
    }[str(kind)]


def messy(size: int, seed: int) -> pa.Table:
    """Every type that has numbers, and strings, with all that can be odd about them."""
    rng = np.random.default_rng(seed)
    null = rng.random(size) < 0.05
    values = rng.normal(size=size)
    values[rng.random(size) < 0.2] = 0.25  # ties on an edge
    for odd in (math.nan, math.inf, -math.inf, -0.0, 0.0):
        values[rng.random(size) < 0.02] = odd
    digits = rng.integers(-(10**5), 10**5, size)
    span = 2 * 10**15

    def moments(kind: pa.DataType, low: int, high: int) -> pa.Array:
        return pa.array(rng.integers(low, high, size), pa.int64(), mask=null).cast(kind)

    return pa.table(
        {
            "float": pa.array(values, mask=null),
            "single": pa.array(rng.normal(size=size).astype(np.float32), mask=null),
            "integer": pa.array(rng.integers(-5, 5, size), mask=null),
            "large": pa.array(rng.integers(-(2**62), 2**62, size)),
            "flag": pa.array(rng.random(size) < 0.3, mask=null),
            "decimal": pa.array(
                [Decimal(int(each)).scaleb(-1) for each in digits], pa.decimal128(12, 1), mask=null
            ),
            "day": pa.array(rng.integers(-20_000, 20_000, size).astype(np.int32)).cast(pa.date32()),
            "clock": moments(pa.time64("us"), 0, 86_400 * 10**6),
            "naive": moments(pa.timestamp("us"), -span, span),
            "zoned": moments(pa.timestamp("us", "UTC"), -span, span),
            "lasted": moments(pa.duration("us"), -(10**12), 10**12),
            "text": pa.array(rng.choice(NAMES, size), mask=null),
        }
    )


def assert_same(found: Profile, expected: Profile) -> None:
    """Both are equal to the row; only the floating-point moments may differ by 1e-9."""
    assert found.rows == expected.rows
    assert list(found.columns) == list(expected.columns)
    for name, column in expected.columns.items():
        apart = {"mean", "m2", "zoned"}
        assert found.columns[name].model_dump(exclude=apart) == column.model_dump(exclude=apart)
        if isinstance(column, NumericColumn):
            _assert_close(found.columns[name], column)


def _assert_close(found: Any, expected: NumericColumn) -> None:
    assert (found.mean is None, found.m2 is None) == (expected.mean is None, expected.m2 is None)
    if expected.mean is not None:
        size = max(abs(expected.minimum or 0.0), abs(expected.maximum or 0.0))
        # where values cancel, nothing is left that 1e-9 of could be asked for
        assert found.mean == pytest.approx(expected.mean, rel=1e-9, abs=1e-14 * size)
        assert found.m2 == pytest.approx(
            expected.m2, rel=1e-9, abs=1e-28 * size * size * expected.finite
        )


def test_an_engine_counts_what_build_profile_counts(load: Load, tmp_path: Any) -> None:
    """The same rows in a SQL engine and in Parquet have the same profile, to the row."""
    reference = build_profile(ds.dataset(messy(3_000, seed=1)))
    rows = messy(4_000, seed=2)
    pq.write_table(rows, tmp_path / "rows.parquet")
    expected = build_profile(ds.dataset(tmp_path / "rows.parquet"), edges_from=reference)
    found = profile_table(load(rows), edges_from=reference, partition="2026-11-23")
    assert_same(found, expected)
    assert found.partition == "2026-11-23"
    zones = {name: getattr(column, "zoned", None) for name, column in found.columns.items()}
    assert {name: zone for name, zone in zones.items() if zone is not None} == {
        "naive": False,
        "zoned": True,
    }


def test_values_on_an_edge_are_in_the_bin_that_ends_there(load: Load) -> None:
    """Edges are compared as the very floats they are, whatever their decimals look like."""
    values = [0.1, 0.3, 0.1 + 0.2, 1 / 3, 5e-324, 1e-300, 12345678.901234567, 2.0**60, -0.1, 0.0]
    around = [math.nextafter(v, side) for v in values for side in (-math.inf, math.inf)]
    reference = build_profile(ds.dataset(pa.table({"x": values})))
    rows = pa.table({"x": pa.array([*values, *around])})
    expected = build_profile(ds.dataset(rows), edges_from=reference)
    found = profile_table(load(rows), edges_from=reference)
    assert found.columns["x"].counts == expected.columns["x"].counts


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ROWS, ROWS)
def test_any_rows_count_the_same(load: Load, before: Any, after: Any) -> None:
    """Whatever the values, an engine and Parquet agree on a given profile's edges."""
    tables = [
        pa.table(
            {
                "x": pa.array([row[0] for row in rows], pa.float64()),
                "c": pa.array([row[1] for row in rows], pa.string()),
            }
        )
        for rows in (before, after)
    ]
    reference = build_profile(ds.dataset(tables[0]))
    expected = build_profile(ds.dataset(tables[1]), edges_from=reference)
    assert_same(profile_table(load(tables[1]), edges_from=reference), expected)


@pytest.mark.parametrize("engine", ["duckdb", "postgres_table"])
def test_the_search_for_any_other_engine_counts_the_same(
    engine: str, request: pytest.FixtureRequest
) -> None:
    """The tree of CASE, which engines without a search of their own get, finds the same bins."""
    reference = build_profile(ds.dataset(messy(500, seed=1)), bins=60)
    rows = messy(700, seed=2)
    table = request.getfixturevalue(engine)(rows)
    found = readings(table, None, reference, table.get_backend().name)
    numeric = [
        (reading, reference.columns[reading.name].edges)
        for reading in found
        if reading.family != "category"
    ]
    tallies = count_numbers(table, numeric, "elsewhere")
    expected = build_profile(ds.dataset(rows), edges_from=reference)
    for reading, _ in numeric:
        column = tallies[reading.name].column(reading)
        assert column.counts == expected.columns[reading.name].counts
        _assert_close(column, expected.columns[reading.name])


def test_an_empty_table_has_empty_counts(load: Load) -> None:
    """Without rows there is a profile all the same, with and without a reference."""
    reference = build_profile(ds.dataset(messy(100, seed=1)))
    empty = messy(0, seed=1)
    table = load(empty)
    assert_same(
        profile_table(table, edges_from=reference),
        build_profile(ds.dataset(empty), edges_from=reference),
    )
    first = profile_table(table)
    assert first.rows == 0
    assert first.columns["float"].edges == ()


def test_rows_without_any_number_have_one_bin(load: Load) -> None:
    """A column without finite values has no edges, and can be counted on these later."""
    nothing = pa.table({"x": pa.array([None, math.nan, math.inf], pa.float64())})
    reference = profile_table(load(nothing))
    assert_same(reference, build_profile(ds.dataset(nothing)))
    rows = pa.table({"x": [1.0, 2.0, math.nan]})
    assert_same(
        profile_table(load(rows), edges_from=reference),
        build_profile(ds.dataset(rows), edges_from=reference),
    )


def test_names_and_categories_are_never_taken_as_sql(load: Load) -> None:
    """Columns and categories with quotes, comments and per cents are counted like any others."""
    rows = pa.table(
        {name: [1.0, 2.0, None] for name in HOSTILE}
        | {f"{name} text": pa.array([*NAMES[4:6], None]) for name in HOSTILE}
    )
    whole = build_profile(ds.dataset(rows))
    columns = dict(whole.columns)
    for name, column in columns.items():
        if isinstance(column, CategoricalColumn):
            columns[name] = column.folded(frozenset(NAMES))
    reference = Profile(rows=whole.rows, columns=columns)
    table = load(rows)
    assert_same(
        profile_table(table, edges_from=reference),
        build_profile(ds.dataset(rows), edges_from=reference),
    )
    assert_same(profile_table(table), whole)
    assert table.count().execute() == 3


def test_many_categories_are_counted_on_the_frozen_list(load: Load) -> None:
    """Beyond 10,000 names the reference's are counted by name and all others together."""
    reference = build_profile(ds.dataset(pa.table({"c": ["n1", "n2", "gone", "it's"]})))
    rows = pa.table({"c": [*(f"n{i}" for i in range(10_050)), "n1", "it's", None]})
    table = load(rows)
    found = profile_table(table, edges_from=reference).columns["c"]
    expected = build_profile(ds.dataset(rows), edges_from=reference).columns["c"]
    assert isinstance(found, CategoricalColumn)
    assert isinstance(expected, CategoricalColumn)
    assert found.counts == expected.counts == {"n1": 2, "n2": 1, "gone": 0, "it's": 1}
    assert (found.other, found.nulls, found.complete) == (10_048, 1, False)
    assert (expected.other, expected.nulls) == (10_048, 1)
    first = profile_table(table).columns["c"]
    assert isinstance(first, CategoricalColumn)
    assert len(first.counts) == 1_000
    assert first.counts["n1"] == 2
    assert first.present == 10_052


def test_a_first_profile_has_the_same_edges_everywhere(duckdb: Load, postgres_table: Load) -> None:
    """Edges are exact quantiles, or all values where few: no engine's estimate of its own."""
    rows = messy(5_000, seed=3)
    one, two = (profile_table(put(rows), bins=100) for put in (duckdb, postgres_table))
    assert_same(one, two)
    expected = build_profile(ds.dataset(rows), bins=100)
    for name, column in one.columns.items():
        other = expected.columns[name]
        if isinstance(column, NumericColumn) and isinstance(other, NumericColumn):
            if name in {"integer", "flag"}:
                assert column.edges == other.edges
            assert (column.edges[0], column.edges[-1]) == (other.edges[0], other.edges[-1])
    spread = one.columns["large"]
    assert isinstance(spread, NumericColumn)
    assert max(spread.counts) <= 5_000 / 100 + 1


def test_values_whose_squares_overflow_are_counted(load: Load) -> None:
    """The largest floats are counted; only their mean and deviation are left open."""
    rows = pa.table({"x": [1e308, -1e308, 1e200, 1.0, 2.0]})
    reference = build_profile(ds.dataset(rows))
    found = profile_table(load(rows), edges_from=reference)
    assert_same(found, build_profile(ds.dataset(rows), edges_from=reference))
    column = found.columns["x"]
    assert isinstance(column, NumericColumn)
    assert column.mean is None
    assert (column.minimum, column.maximum) == (-1e308, 1e308)


def test_a_small_spread_far_from_zero_keeps_its_digits(load: Load) -> None:
    """Mean and deviation do not drown in the squares of large values, in or beyond the edges."""
    rng = np.random.default_rng(5)
    rows = pa.table({"x": 1.7e9 + rng.normal(size=2_000)})
    for far in (1.7e9, 0.0):
        reference = build_profile(ds.dataset(pa.table({"x": far + rng.normal(size=500)})))
        expected = build_profile(ds.dataset(rows), edges_from=reference).columns["x"]
        found = profile_table(load(rows), edges_from=reference).columns["x"]
        assert isinstance(found, NumericColumn)
        assert isinstance(expected, NumericColumn)
        assert found.mean == pytest.approx(expected.mean, rel=1e-14)
        assert found.m2 == pytest.approx(expected.m2, rel=1e-9)


def test_a_profile_from_an_engine_is_a_profile_like_any_other(duckdb: Load) -> None:
    """It merges with one from Parquet, survives its bytes, and can be decided on."""
    rows = messy(4_000, seed=6)
    reference = build_profile(ds.dataset(messy(4_000, seed=7)))
    one = profile_table(duckdb(rows.slice(0, 1_500)), edges_from=reference)
    two = build_profile(ds.dataset(rows.slice(1_500)), edges_from=reference)
    whole = build_profile(ds.dataset(rows), edges_from=reference)
    assert one.edges_digest == reference.edges_digest
    assert_same(one.merge(two), whole)
    assert Profile.from_bytes(one.to_bytes()) == one
    assert decide(reference, one).verdict == decide(reference, two).verdict


def test_what_is_asked_for_is_counted(load: Load) -> None:
    """`columns` names them; one that only the reference has is left out, for `decide` to name."""
    reference = build_profile(ds.dataset(pa.table({"x": [1.0], "gone": [1.0], "y": ["a"]})))
    table = load(pa.table({"x": [2.0], "y": ["b"], "new": [3.0]}))
    found = profile_table(table, edges_from=reference, columns=["x", "gone"])
    assert list(found.columns) == ["x"]
    assert list(profile_table(table, edges_from=reference).columns) == ["x", "y", "new"]
    with pytest.raises(ContractBroken, match=r"'neu' is missing.*did you mean 'new'"):
        profile_table(table, edges_from=reference, columns=["neu"])


def test_a_part_of_a_table_is_a_table(load: Load) -> None:
    """What Ibis makes of a table, such as one day of it, can be profiled without a view."""
    rows = pa.table({"x": [1.0, 2.0, 3.0], "day": ["a", "b", "b"]})
    table = load(rows)
    found = profile_table(table.filter(table.day == "b"), columns=["x"])
    assert_same(found, build_profile(ds.dataset(pa.table({"x": [2.0, 3.0]}))))


def test_what_only_python_computes_is_refused_by_name(duckdb: Load) -> None:
    """Conditional columns and features of texts, structs and vectors are no silent gaps."""
    x = build_profile(ds.dataset(pa.table({"x": [1.0], "y": [1.0]}))).columns["x"]
    table = duckdb(pa.table({"x": [1.0], "y": [2.0], "review": ["good"]}))
    for name in ("x given y", "review:length", "review.stars"):
        reference = Profile(rows=1, columns={"x": x, name: x})
        with pytest.raises(ContractBroken, match=rf"'{name}' cannot be counted.*`columns`"):
            profile_table(table, edges_from=reference)
        assert list(profile_table(table, edges_from=reference, columns=["x"]).columns) == ["x"]


def test_a_type_without_numbers_is_refused_by_name(load: Load) -> None:
    """A list has no distribution to compare."""
    table = load(pa.table({"x": [1.0], "tags": pa.array([[1, 2]])}))
    with pytest.raises(ContractBroken, match="'tags' is of type array"):
        profile_table(table)
    assert list(profile_table(table, columns=["x"]).columns) == ["x"]


def test_a_table_that_changes_meanwhile_is_noticed(duckdb: Load) -> None:
    """Two queries that saw different rows give no profile."""
    table = duckdb(pa.table({"x": [1.0] * 100, "c": ["a"] * 100}))
    backend = table.get_backend()
    backend.raw_sql("CREATE SEQUENCE s")
    backend.raw_sql("CREATE VIEW shrinking AS SELECT * FROM t WHERE nextval('s') <= 550")
    reference = build_profile(ds.dataset(pa.table({"x": [1.0], "c": ["a"]})))
    view = backend.table("shrinking")
    assert profile_table(view, edges_from=reference).rows == 100
    with pytest.raises(InvalidData, match="changed while it was profiled"):
        profile_table(view, edges_from=reference)


def test_an_engine_that_is_gone_can_be_asked_again(postgres_table: Load) -> None:
    """A lost connection is worth a retry; a refused query is not."""
    table = postgres_table(pa.table({"x": [1.0]}))
    table.get_backend().raw_sql("DROP TABLE t").close()
    with pytest.raises(InvalidData, match="refused to count"):
        profile_table(table)
    table.get_backend().con.close()
    with pytest.raises(Unreachable):
        profile_table(table)


SCHEMA = {
    "größe - x": "float64",
    "flag": "boolean",
    "day": "date",
    "clock": "time",
    "naive": "timestamp(6)",
    "nanos": "timestamp(9)",
    "zoned": "timestamp('UTC')",
    "amount": "decimal(10, 2)",
    "name": "string",
}


@pytest.mark.parametrize("dialect", ["snowflake", "bigquery", "postgres", "duckdb"])
def test_no_row_leaves_the_engine(dialect: str) -> None:
    """Every query is one SELECT of aggregates, in the dialect's own SQL."""
    from sqlglot import exp

    table = ibis.table(SCHEMA, name="t")
    found = readings(table, None, None, dialect)
    numeric = [(each, (0.1, 1e300)) for each in found if each.family != "category"]
    ((part, query),) = number_queries(table, numeric, dialect)
    part_names = [reading.name for reading, _ in part]
    assert part_names == list(SCHEMA)[:-1]
    parsed = sqlglot.parse_one(str(ibis.to_sql(query, dialect=dialect)), dialect=dialect)
    scans = [each for each in parsed.find_all(exp.Table) if each.name == "t"]
    read = [
        {column.name for column in scan.find_ancestor(exp.Select).find_all(exp.Column)}
        for scan in scans
    ]
    # each column is read once for its mean, and once for all else
    if dialect == "duckdb":
        assert read == [set(part_names)] * 2
    else:
        assert {len(columns) for columns in read} == {1}
        assert Counter(each for columns in read for each in columns) == dict.fromkeys(part_names, 2)
    assert _is_aggregated(parsed)
    text = found[-1]
    for grouped in (named_query(table, text), listed_query(table, text, ["a'b", "\\", "`"])):
        sql = str(ibis.to_sql(grouped, dialect=dialect))
        assert _is_aggregated(sqlglot.parse_one(sql, dialect=dialect))
    listed = sqlglot.parse_one(sql, dialect=dialect).find(exp.In)
    assert [literal.this for literal in listed.expressions] == ["a'b", "\\", "`"]
    for edges in (distinct_query(table, found[0], 10), quantile_query(table, found[0], 10)):
        sqlglot.parse_one(str(ibis.to_sql(edges, dialect=dialect)), dialect=dialect)


def _is_aggregated(part: Any) -> bool:
    """Whether all that a query hands out went through a GROUP BY or an aggregate."""
    from sqlglot import exp

    if isinstance(part, exp.Subquery):
        return _is_aggregated(part.this)
    if isinstance(part, exp.Union):
        return _is_aggregated(part.left) and _is_aggregated(part.right)
    if not isinstance(part, exp.Select) or part.args.get("joins"):
        return False
    if part.args.get("group"):
        return True
    # sqlglot does not know that HISTOGRAM is an aggregate
    kinds = (exp.AggFunc, exp.Anonymous)
    if all(each.find(*kinds) for each in part.expressions):
        return True
    return _is_aggregated(part.args["from_"].this)


def test_no_statement_is_too_long_for_its_engine() -> None:
    """A wide table is cut into statements of less than 1 MB, where engines stop reading."""
    table = ibis.table({f"x{i}": "float64" for i in range(61)}, name="t")
    edges = tuple(np.sort(np.random.default_rng(0).normal(size=100)).tolist())
    numeric = [(reading, edges) for reading in readings(table, None, None, "snowflake")]
    (first, _), (second, _) = number_queries(table, numeric, "snowflake")
    assert (len(first), len(second)) == (60, 1)
    one = next(iter(number_queries(table, numeric[:1], "snowflake")))[1]
    assert len(str(ibis.to_sql(one, dialect="snowflake", pretty=False))) * 60 < 1_000_000


def test_a_day_of_nanoseconds_is_read_as_parquet_is(duckdb: Load) -> None:
    """Timestamps in nanoseconds become the same seconds on both sides."""
    rng = np.random.default_rng(8)
    start = int(dt.datetime(2026, 11, 23, tzinfo=dt.UTC).timestamp()) * 10**9
    moments = pa.array(start + rng.integers(0, 86_400 * 10**9, 500), pa.timestamp("ns"))
    rows = pa.table({"at": moments})
    reference = build_profile(ds.dataset(rows))
    found = profile_table(duckdb(rows), edges_from=reference)
    assert_same(found, build_profile(ds.dataset(rows), edges_from=reference))
