"""The store on other filesystems of fsspec: which it trusts, and which it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from backbeat import Dataset
from backbeat.data import FolderStore, open_dataset, open_store, references
from backbeat.errors import NotFound, Refused


class Overwriting(MemoryFileSystem):  # type: ignore[misc]
    """A filesystem whose `mode="create"` replaces what exists."""

    protocol = "overwriting"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        super().pipe_file(path, value)


@pytest.fixture
def overwriting() -> Iterator[str]:
    """Its scheme, known to fsspec."""
    fsspec.register_implementation("overwriting", Overwriting, clobber=True)
    yield "overwriting"
    del _registry["overwriting"]


def test_a_filesystem_that_creates_again_is_refused(overwriting: str) -> None:
    """Where creation overwrites, nothing is written, and the reason is named."""
    store = open_store(f"{overwriting}://name")
    for write in (store.write, store.create, lambda key, _: store.writing(key).__enter__()):
        with pytest.raises(Refused, match="lets a file that exists be created again"):
            write("k", b"x")
    assert list(store.keys("")) == []


def test_a_filesystem_that_shows_half_a_file_is_refused(tmp_path: Path) -> None:
    """Local files by fsspec are seen while they are written: `local://` is no store."""
    store = open_store(f"local://{tmp_path}")
    with pytest.raises(Refused, match="a file is seen before it is whole"):
        store.write("k", b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """Writing where there is no folder says so."""
    with pytest.raises(NotFound, match="there is no local://"):
        open_store(f"local://{tmp_path}/absent").write("k", b"x")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_data_is_read_where_nothing_may_be_written(tmp_path: Path, suffix: str) -> None:
    """A dataset by its URI is read from a filesystem that could not be the store."""
    table = pa.table({"x": [1, 2, 3]})
    if suffix == "csv":
        (tmp_path / "t.csv").write_text("x\n1\n2\n3\n")
    else:
        pq.write_table(table, tmp_path / "t.parquet")
    store = FolderStore(tmp_path / "store")
    by_uri = references(store, Dataset(uri=f"local://{tmp_path}/t.{suffix}"))
    by_path = references(store, Dataset(uri=f"{tmp_path}/t.{suffix}"))
    assert [ref.digest for ref in by_uri] == [ref.digest for ref in by_path]
    assert open_dataset(store, by_uri).to_table().equals(table)


def test_a_version_is_what_the_filesystem_says(tmp_path: Path) -> None:
    """A filesystem without ETags leaves the digest to the file's bytes."""
    store = open_store(f"memory://{tmp_path.name}")
    with store.writing("t.parquet") as path:
        pq.write_table(pa.table({"x": [1]}), path)
    assert store.files("t.parquet")[0].version is None
    (ref,) = references(store, Dataset(uri="t.parquet"))
    assert ref.digest.startswith("sha256:")
    assert open_dataset(store, [ref]).count_rows() == 1
