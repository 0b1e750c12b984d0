"""Rows read a page at a time are those that Arrow's scanner reads."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from backbeat.data.large_rows import large_batches


def _table(start: int, rows: int) -> pa.Table:
    scan = pa.field("scan", pa.binary(), metadata={"media_type": "image/png"})
    schema = pa.schema(
        [
            pa.field("id", pa.int64()),
            scan,
            pa.field("tags", pa.list_(pa.struct([("name", pa.string())]))),
            pa.field("depot", pa.dictionary(pa.int32(), pa.string())),
        ]
    )
    columns = [
        pa.array(range(start, start + rows)),
        pa.array([None if row % 7 == 3 else bytes([row % 256]) * row for row in range(rows)]),
        pa.array([[{"name": f"t{row}"}] * (row % 3) for row in range(rows)], schema.types[2]),
        pa.array(["north", "south"] * (rows // 2)).dictionary_encode(),
    ]
    return pa.table(columns, schema=schema)


@pytest.fixture
def files(tmp_path: Path) -> ds.Dataset:
    """Three hundred rows in two Parquet files of several row groups."""
    for name, start in (("a", 0), ("b", 150)):
        pq.write_table(_table(start, 150), tmp_path / f"{name}.parquet", row_group_size=40)
    return ds.dataset([ds.dataset(tmp_path / f"{name}.parquet") for name in "ab"])


@pytest.mark.parametrize("columns", [["scan"], ["tags", "id"], ["depot", "scan", "id"]])
def test_all_rows_come_in_order_and_a_few_at_a_time(files: ds.Dataset, columns: list[str]) -> None:
    """Whatever the columns, in the order that was asked for, with the fields' metadata."""
    batches = list(large_batches(files, columns, batch_rows=16))
    assert max(batch.num_rows for batch in batches) == 16
    found = pa.Table.from_batches(batches)
    assert found.equals(files.to_table(columns=columns), check_metadata=True)


def test_the_schema_of_the_dataset_counts(files: ds.Dataset) -> None:
    """What was said about a field after the files were written is on every batch."""
    said = files.schema.field("id").with_metadata({"unit": "pieces"})
    known = files.replace_schema(files.schema.set(0, said))
    (field,) = next(large_batches(known, ["id"], batch_rows=5)).schema
    assert field.metadata == {b"unit": b"pieces"}


def test_other_files_are_scanned(tmp_path: Path) -> None:
    """A CSV, a table in memory, and a file that lacks a column which the dataset has."""
    plain = _table(0, 10).select(["id"])
    pc.write_csv(plain, tmp_path / "a.csv")
    pq.write_table(plain, tmp_path / "a.parquet")
    more = pa.schema([("id", pa.int64()), ("late", pa.float64())])
    for data, columns in (
        (ds.dataset(tmp_path / "a.csv", format="csv"), ["id"]),
        (ds.dataset(plain), ["id"]),
        (ds.dataset(tmp_path / "a.parquet", schema=more), ["late", "id"]),
    ):
        found = pa.Table.from_batches(list(large_batches(data, columns, batch_rows=4)))
        assert found["id"].to_pylist() == list(range(10))
        assert found.column_names == columns
