"""Rows cut by their bytes: never too large, never lost, always the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.inference.cutting import cuts, request_bytes_of, row_bytes, shard_rows_within


def _images(sizes: list[int | None], kind: pa.DataType | None = None) -> pa.Table:
    values = [None if size is None else b"x" * size for size in sizes]
    return pa.table({"image": pa.array(values, kind or pa.binary())})


@given(
    sizes=st.lists(st.integers(0, 40) | st.none(), max_size=40),
    most_rows=st.integers(1, 10),
    most_bytes=st.integers(1, 60),
)
def test_every_row_is_in_one_request_that_is_no_larger_than_it_must_be(
    sizes: list[int | None], most_rows: int, most_bytes: int
) -> None:
    """In order, without a gap; a request of more bytes is one row alone; none could take more."""
    found = cuts(_images(sizes), ["image"], most_rows=most_rows, most_bytes=most_bytes)
    assert [row for start, stop in found for row in range(start, stop)] == list(range(len(sizes)))
    held = [sum(size or 0 for size in sizes[start:stop]) for start, stop in found]
    for (start, stop), size in zip(found, held, strict=True):
        assert stop - start <= most_rows
        assert size <= most_bytes or stop - start == 1
    for (start, stop), (_, after), size in zip(found, found[1:], held, strict=False):
        assert after > stop
        assert stop - start == most_rows or size + (sizes[stop] or 0) > most_bytes
    assert all(first[1] == second[0] for first, second in pairwise(found))


def test_small_rows_are_cut_at_multiples() -> None:
    """A table of numbers is asked about as it was before there were bytes to count."""
    table = pa.table({"x": np.arange(10.0), "name": ["a"] * 10})
    found = cuts(table, ["x", "name"], most_rows=4, most_bytes=2**20)
    assert found == [(0, 4), (4, 8), (8, 10)]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
def test_a_slice_counts_its_own_bytes(kind: pa.DataType) -> None:
    """And not those of what it was cut from."""
    table = _images([1, 2, 3, 4, None], kind)
    assert row_bytes(table.slice(2, 3), ["image"]).tolist() == [3, 4, 0]


def test_all_kinds_of_columns_count() -> None:
    """Numbers by their width, lists by what is in them, text by its length."""
    table = pa.table(
        {
            "x": pa.array([1.0, 2.0]),
            "text": ["ü", "ab"],
            "vector": pa.array([[1.0, 2.0]] * 2, pa.list_(pa.float32(), 2)),
            "chunked": pa.chunked_array([[b"abc"], [b"d"]]),
        }
    )
    assert row_bytes(table, ["x"]).tolist() == [8, 8]
    assert row_bytes(table, ["text"]).tolist() == [2, 2]
    assert row_bytes(table, ["vector"]).tolist() == [8, 8]
    assert row_bytes(table, table.column_names).tolist() == [21, 19]


def _file(folder: Path, name: str, sizes: list[int], *, group: int) -> ds.Dataset:
    table = _images([*sizes]).append_column("id", pa.array(range(len(sizes))))
    pq.write_table(
        table, folder / name, row_group_size=group, compression="none", use_dictionary=False
    )
    return ds.dataset(folder / name)


def test_shards_of_large_rows_have_fewer(tmp_path: Path) -> None:
    """The largest row group of any file decides, by the columns that are read."""
    small = _file(tmp_path, "a.parquet", [10] * 20, group=10)
    large = _file(tmp_path, "b.parquet", [10] * 10 + [1000] * 10, group=10)
    both = ds.dataset([small, large])
    found = shard_rows_within(both, ["image"], 10_000, most_bytes=10_000)
    assert 8 <= found <= 10
    assert shard_rows_within(small, ["image"], 10_000, most_bytes=10_000) > 500
    assert shard_rows_within(both, ["image"], 5, most_bytes=10_000) == 5
    assert shard_rows_within(both, ["image"], 10_000, most_bytes=1) == 1


def test_shards_of_numbers_stay_as_they_are(tmp_path: Path) -> None:
    """Whatever they take: scores of an earlier release are found again."""
    both = _file(tmp_path, "b.parquet", [1000] * 10, group=10)
    assert shard_rows_within(both, ["id"], 10_000, most_bytes=1) == 10_000
    memory = ds.dataset(_images([1000] * 10))
    assert shard_rows_within(memory, ["image"], 10_000, most_bytes=1) == 10_000


@pytest.mark.parametrize(
    ("transport", "least", "most"), [("http", 2**23, 2**23), ("grpc", 2**21, 2**22 - 1)]
)
def test_a_request_fits_where_servers_draw_the_line(transport: str, least: int, most: int) -> None:
    """Servers of gRPC take messages of 4 MiB where nobody has told them otherwise."""
    assert least <= request_bytes_of(transport) <= most
