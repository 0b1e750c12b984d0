from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.errors import Conflict, InvalidStep
from backbeat.inference.shards import plan, shard_key, slices

ROWS = st.integers(0, 500)
SIZES = st.integers(1, 60)


@given(rows=ROWS, shard_rows=SIZES)
def test_a_plan_covers_every_row_once(rows: int, shard_rows: int) -> None:
    """Shards follow each other without gap or overlap; only the last may be smaller."""
    shards = plan(rows, shard_rows)
    assert [row for shard in shards for row in range(shard.start, shard.stop)] == list(range(rows))
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert all(shard.rows == shard_rows for shard in shards[:-1])
    assert shards[-1].rows <= shard_rows


@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=8), shard_rows=SIZES)
def test_slices_are_the_rows_of_the_plan(lengths: list[int], shard_rows: int) -> None:
    """However the input is cut into pieces, each shard gets its own rows in order."""
    values = pa.array(range(sum(lengths)), pa.int64())
    start = 0
    parts = []
    for length in lengths:
        parts.append(ds.dataset(pa.table({"row": values.slice(start, length)})))
        start += length
    data = ds.dataset(parts)
    for shard, rows in slices(data, plan(sum(lengths), shard_rows), ["row"]):
        assert rows["row"].to_pylist() == list(range(shard.start, shard.stop))


def test_a_table_without_rows_is_one_shard_with_its_columns() -> None:
    """So that its output has columns, too."""
    data = ds.dataset(pa.table({"row": pa.array([], pa.int64()), "x": pa.array([], pa.string())}))
    [(shard, rows)] = slices(data, plan(0, 10), ["x"])
    assert shard.rows == 0
    assert rows.schema == pa.schema([("x", pa.string())])


@pytest.mark.parametrize("counted", [3, 9])
def test_an_input_that_changed_is_a_conflict(counted: int) -> None:
    """Fewer or more rows than were counted are not scored as if nothing were."""
    data = ds.dataset(pa.table({"row": range(6)}))
    with pytest.raises(Conflict, match=f"no longer has the {counted} rows"):
        list(slices(data, plan(counted, 2), ["row"]))


def test_batches_stay_small(tmp_path: Path) -> None:
    """A shard is put together of batches no larger than itself, whatever the file's row groups."""
    pq.write_table(pa.table({"row": range(1000)}), tmp_path / "one.parquet", row_group_size=1000)
    for _, rows in slices(ds.dataset(tmp_path / "one.parquet"), plan(1000, 64), ["row"]):
        assert max(len(chunk) for chunk in rows["row"].chunks) <= 64


def test_a_shard_of_no_rows_is_refused() -> None:
    """A size below one would never end."""
    with pytest.raises(InvalidStep):
        plan(10, 0)


def test_the_key_names_input_model_parameters_and_position() -> None:
    """The same gives the same key, anything else another."""
    first, second = plan(20, 10)
    given = {"input_digest": "sha256:a", "model_version": "models:/m/1", "parameters": {"x": 1}}
    key = shard_key(first, **given)
    assert key == shard_key(first, **given)
    others = [
        shard_key(second, **given),
        shard_key(first, **given | {"input_digest": "sha256:b"}),
        shard_key(first, **given | {"model_version": "models:/m/2"}),
        shard_key(first, **given | {"parameters": {"x": 2}}),
    ]
    assert len({key, *others}) == 5
