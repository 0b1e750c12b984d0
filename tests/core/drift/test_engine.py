from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import enumerate as enumerate_threads
from threading import get_ident
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from backbeat.drift import Profile, build_profile
from backbeat.drift._count import NumericCounter
from backbeat.drift._engine_grid import BinFinder
from backbeat.drift._scan import Numbers, splits_by_column
from backbeat.errors import ContractBroken, InvalidData, InvalidStep

ANY = st.floats(allow_nan=False, allow_infinity=False)
SHAPES = st.one_of(
    st.lists(ANY, max_size=60),
    st.lists(st.floats(-100, 100), max_size=60),
    st.lists(st.floats(1e-300, 1e-290), max_size=60),
    st.lists(st.integers(-5, 5).map(float), max_size=60),
    st.lists(st.sampled_from([0.0, -0.0, 1e9, 1e9 + 1, -1e300, 5e-324]), max_size=60),
)


@pytest.fixture
def threads() -> Iterator[None]:
    """Puts the number of threads back."""
    before = pa.cpu_count()
    yield
    pa.set_cpu_count(before)


@settings(max_examples=300, deadline=None)
@given(SHAPES, SHAPES)
def test_the_bin_of_every_value_is_exact(edges: list[float], values: list[float]) -> None:
    """Whatever the edges and values, the bin is the number of edges below the value."""
    frozen = np.unique(np.asarray(edges, dtype=np.float64) + 0.0)
    tested = np.asarray([*values, *edges], dtype=np.float64)
    expected = np.searchsorted(frozen, tested, side="left")
    assert BinFinder(frozen).bins(tested).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "shape", ["normal", "lognormal", "pareto", "clusters", "sentinel", "whole"]
)
def test_the_bins_of_many_values_are_exact(shape: str) -> None:
    """Quantile edges of easy and hard distributions, in blocks that are unlike the first."""
    rng = np.random.default_rng(3)
    size = 60_000
    values = {
        "normal": rng.normal(size=size),
        "lognormal": rng.lognormal(sigma=4, size=size),
        "pareto": rng.pareto(0.3, size) * rng.choice([-1, 1], size),
        "clusters": rng.normal(size=size) * 1e-6 + rng.choice([0.0, 1e12], size),
        "sentinel": np.where(rng.random(size) < 0.1, -999_999.0, rng.normal(size=size)),
        "whole": rng.integers(0, 400, size).astype(float),
    }[shape]
    edges = np.unique(np.quantile(values, np.arange(1001) / 1000))
    finder = BinFinder(edges)
    for block in (values[:20_000], -values, values * 1000, edges, np.nextafter(edges, np.inf)):
        expected = np.searchsorted(edges, block, side="left")
        assert np.array_equal(finder.bins(np.ascontiguousarray(block)), expected)


def test_moments_do_not_lose_digits() -> None:
    """Mean and spread are exact where the values are large and close, over many blocks."""
    values = 1e9 + np.random.default_rng(0).normal(size=100_000)
    counter = NumericCounter("number", (0.0,))
    for start in range(0, 100_000, 1_000):
        counter.add(Numbers(values[start : start + 1_000]))
    [column] = counter.columns()
    assert column.mean == pytest.approx(values.mean(), rel=1e-15)
    assert column.deviation == pytest.approx(values.std(ddof=1), rel=1e-9)


def everything(size: int = 150_000) -> pa.Table:
    rng = np.random.default_rng(0)
    x = rng.normal(size=size)
    x[::97] = np.nan
    return pa.table(
        {
            "x": pa.array(x, mask=rng.random(size) < 0.01),
            "n": rng.integers(0, 10, size),
            "c": rng.integers(0, 300, size).astype(str),
            "id": np.arange(size).astype(str),
            "t": rng.choice(["one two", "three", ""], size),
        }
    )


def test_the_number_of_threads_changes_no_byte(threads: None) -> None:
    """One thread and many give the same file, derived columns and segments included."""
    found = []
    for count in (1, 2, 7):
        pa.set_cpu_count(count)
        options: Any = {"kinds": {"t": "text"}, "given": {"x": ["n"]}, "by": ["n"]}
        found.append(build_profile(everything(), **options).to_bytes())
    assert len(set(found)) == 1


def test_columns_read_apart_are_counted_as_those_read_together(
    tmp_path: Path, threads: None
) -> None:
    """Large local Parquet is read some columns at a time: not one byte of the profile differs."""
    path = tmp_path / "x.parquet"
    pq.write_table(everything(), path, row_group_size=40_000)
    assert splits_by_column(ds.dataset(path))
    reference = build_profile(everything(1_000), given={"x": ["n"]})
    for options in ({"given": {"x": ["n"]}}, {"edges_from": reference}):
        found = {build_profile(everything(), **options).to_bytes()}
        for count in (1, 2, 7):
            pa.set_cpu_count(count)
            found.add(build_profile(path, **options).to_bytes())
        assert len(found) == 1


def test_only_large_local_parquet_is_read_by_columns(tmp_path: Path) -> None:
    """Text, memory, other filesystems, filters and small files are read whole, and count alike."""
    table = everything()
    pq.write_table(table, tmp_path / "x.parquet")
    pq.write_table(table.slice(0, 9), tmp_path / "small.parquet")
    pc_csv.write_csv(table, str(tmp_path / "x.csv"))
    folder = SubTreeFileSystem(str(tmp_path), LocalFileSystem())
    large = ds.dataset(tmp_path / "x.parquet")
    elsewhere = ds.dataset("x.parquet", filesystem=folder)
    everywhere = large.filter(ds.field("n") >= 0)
    others = [
        ds.dataset(table),
        ds.dataset(tmp_path / "x.csv", format="csv"),
        ds.dataset(tmp_path / "small.parquet"),
        elsewhere,
        everywhere,
    ]
    assert [splits_by_column(each) for each in [large, *others]] == [True] + [False] * len(others)
    expected = build_profile(large).to_bytes()
    assert [build_profile(each).to_bytes() for each in (elsewhere, everywhere)] == [expected] * 2


def test_the_callback_can_end_columns_read_apart(tmp_path: Path, threads: None) -> None:
    """It is called in the caller's thread, up to all rows; what it raises ends every reader."""
    path = tmp_path / "x.parquet"
    pq.write_table(everything(), path)
    reference = build_profile(path)
    pa.set_cpu_count(2)
    heard: list[tuple[int, int | None]] = []
    callers: set[int] = set()

    def hear(done: int, total: int | None) -> None:
        heard.append((done, total))
        callers.add(get_ident())

    build_profile(path, edges_from=reference, progress=hear)
    assert heard == sorted(heard)
    assert heard[-1] == (150_000, 150_000)
    assert callers == {get_ident()}

    def end(done: int, total: int | None) -> None:
        raise TimeoutError("enough")

    with pytest.raises(TimeoutError, match="enough"):
        build_profile(path, edges_from=reference, progress=end)
    assert not [each for each in enumerate_threads() if "backbeat-profile" in each.name]


def test_every_form_of_the_rows_gives_the_same_profile(tmp_path: Path) -> None:
    """Tables, batches, frames, paths and lists of them are the same rows."""
    frame = pd.DataFrame({"x": [1.5, 2.0, None], "c": ["a", "b", "a"]}, index=[7, 8, 9])
    table = pa.Table.from_pandas(frame, preserve_index=False)
    (tmp_path / "parts").mkdir()
    for name in ("x.parquet", "parts/1.parquet", "parts/2.parquet"):
        pq.write_table(table, tmp_path / name)
    feather.write_feather(table, str(tmp_path / "x.arrow"))
    pc_csv.write_csv(table, str(tmp_path / "x.csv"))
    expected = build_profile(ds.dataset(table)).to_bytes()
    forms: list[Any] = [
        table,
        table.to_batches()[0],
        frame,
        tmp_path / "x.parquet",
        str(tmp_path / "x.parquet"),
        [tmp_path / "x.parquet"],
        tmp_path / "x.arrow",
        tmp_path / "x.csv",
        _Stream(table),
    ]
    for form in forms:
        assert build_profile(form).to_bytes() == expected
    parts = [tmp_path / "parts" / "1.parquet", tmp_path / "parts" / "2.parquet"]
    assert build_profile(tmp_path / "parts").to_bytes() == build_profile(parts).to_bytes()
    assert build_profile(parts).rows == 6


class _Stream:
    """A frame of a library that we do not know, such as polars: it hands out an Arrow stream."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    """Readers that can be read once, frames of mixed types, lost files: each with what to do."""
    table = pa.table({"x": [1]})
    mixed = pd.DataFrame({"x": [1, "a", 2.5]})
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "x.csv").write_text("x\n1\n")
    for data, message in (
        (table.to_reader(), "only once"),
        ({"x": [1]}, "no table"),
        ([], "no table"),
        (mixed, "no table"),
        (tmp_path / "gone.parquet", "cannot be opened"),
        (tmp_path / "x.parquet", "cannot be opened"),
        ([tmp_path / "x.parquet", tmp_path / "x.csv"], "different formats"),
    ):
        with pytest.raises(InvalidData, match=message) as caught:
            build_profile(data)
        assert caught.value.hint
    with pytest.raises(InvalidStep, match="0 bins"):
        build_profile(table, bins=0)


def test_a_csv_that_mixes_types_says_so(tmp_path: Path) -> None:
    """A column that starts with numbers and goes on with words is an error, not a guess."""
    lines = ["x", *["1"] * 600_000, "many"]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(InvalidData, match="conversion error") as caught:
        build_profile(tmp_path / "x.csv")
    assert "mixes types" in caught.value.hint


def test_files_of_one_dataset_may_differ_within_its_schema(tmp_path: Path) -> None:
    """A column missing in one file is null there; narrower numbers and codes are the same."""
    one = pa.table(
        {"x": pa.array([1, 2], pa.int32()), "c": pa.array(["a", "b"]).dictionary_encode()}
    )
    pq.write_table(one, tmp_path / "1.parquet")
    two = pa.table({"x": pa.array([3], pa.int64()), "c": ["a"], "new": [1.5]})
    pq.write_table(two, tmp_path / "2.parquet")
    found = build_profile(ds.dataset(tmp_path, schema=two.schema))
    assert found.columns["c"].counts == {"a": 2, "b": 1}
    assert (found.columns["x"].maximum, found.columns["new"].nulls) == (3.0, 2)


def test_progress_is_told() -> None:
    """The callback hears the rows done and, where the files know it, how many there are."""
    heard: list[tuple[int, int | None]] = []
    build_profile(everything(), columns=["x"], progress=lambda *step: heard.append(step))
    assert heard == sorted(heard)
    assert heard[-1] == (300_000, 300_000)
    reference = build_profile(everything(), columns=["x"])
    heard.clear()
    build_profile(
        ds.dataset(everything()).filter(ds.field("n") < 5),
        columns=["x"],
        edges_from=reference,
        progress=lambda *step: heard.append(step),
    )
    assert heard[-1][1] is None
    assert 0 < heard[-1][0] < 150_000


@pytest.mark.parametrize(
    "values",
    [
        pa.array([], pa.float64()),
        pa.array([4.0]),
        pa.array([None] * 9, pa.float64()),
        pa.array([2.5] * 1000),
        pa.array([float("inf"), float("-inf"), float("nan"), None]),
        pa.array([-0.0, 0.0]),
        pa.nulls(5),
        pa.array([], pa.string()),
        pa.array([None] * 4, pa.string()),
        pa.array([2**63 - 1, -(2**63)]),
        pa.array([1.7976931348623157e308, -1.7976931348623157e308]),
    ],
    ids=str,
)
def test_poor_columns_are_counted(values: pa.Array) -> None:
    """Empty, null, constant, infinite and extreme columns have a profile that reads back."""
    table = pa.table({"x": values})
    found = build_profile(table, by=["x"] if pa.types.is_string(values.type) else [])
    again = Profile.from_bytes(found.to_bytes())
    assert again == found
    assert found.columns["x"].missing + found.columns["x"].present == len(values)
    later = build_profile(table, edges_from=found)
    assert later.columns == found.columns
    assert later.merge(found).rows == 2 * len(values)


def test_a_column_that_is_new_or_gone_is_left_to_the_decision() -> None:
    """A column only the data has is counted on edges of its own, one it lacks is left out."""
    reference = build_profile(pa.table({"x": [1.0, 2.0], "gone": ["a", "b"]}))
    later = build_profile(pa.table({"x": [1.5], "new": [7.0]}), edges_from=reference)
    assert list(later.columns) == ["x", "new"]
    assert later.columns["x"].edges == reference.columns["x"].edges
    turned = build_profile(pa.table({"x": ["one"], "gone": [1.0]}), edges_from=reference)
    assert (turned.columns["x"].family, turned.columns["gone"].family) == ("category", "number")


def test_a_file_that_changes_between_the_passes_is_noticed(tmp_path: Path) -> None:
    """Rows that are other ones the second time are an error, not a wrong profile."""
    path = tmp_path / "x.parquet"
    for later in (np.arange(50_000.0), np.arange(100_000.0) - 7):
        pq.write_table(pa.table({"x": np.arange(100_000.0)}), path)
        written = []

        def change(done: int, total: int | None, rows: Any = later, seen: Any = written) -> None:
            if done == 100_000 and not seen:
                seen.append(pq.write_table(pa.table({"x": rows}), path))

        with pytest.raises(InvalidData, match="changed while it was profiled"):
            build_profile(ds.dataset(path), progress=change)


def test_two_columns_of_one_name_are_refused() -> None:
    """An ambiguous name is refused where it would be counted."""
    table = pa.table([pa.array([1]), pa.array([2]), pa.array([3])], names=["x", "x", "y"])
    with pytest.raises(ContractBroken, match="'x' appears more than once"):
        build_profile(table)


def test_identifiers_cost_bounded_memory(tmp_path: Path) -> None:
    """A million distinct strings are counted, in memory for a few blocks of them."""
    path = tmp_path / "x.parquet"
    schema = pa.schema([("id", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, 1_000_000, 100_000):
            names = pa.array(np.arange(start, start + 100_000)).cast(pa.string())
            writer.write_table(pa.table([names], schema=schema))
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    peaks = []
    found = build_profile(
        ds.dataset(path), progress=lambda *_: peaks.append(pool.bytes_allocated() - before)
    )
    column = found.columns["id"]
    assert column.present == 1_000_000
    assert len(column.counts) <= 1_000
    assert column.distinct_values == pytest.approx(1_000_000, rel=0.12)
    assert max(peaks) < 30 * 2**20
