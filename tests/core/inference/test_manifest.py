from __future__ import annotations

import pytest

from backbeat.data import FolderStore
from backbeat.errors import NotFound
from backbeat.inference import read_scores
from backbeat.inference.manifest import file_digest, finished_shard, record_shard


def entry(content: bytes, file: str = "part-00000-abc.parquet") -> dict[str, object]:
    """A shard's entry about a file with this content."""
    return {"shard": 0, "rows": 1, "file": file, "digest": file_digest(content)}


def test_scores_that_were_never_finished_are_not_found(store: FolderStore) -> None:
    """Parts without a manifest are nothing to read."""
    store.write("scores/part-00000-abc.parquet", b"whole")
    with pytest.raises(NotFound, match="no finished scores"):
        read_scores(store, "scores")


def test_a_recorded_shard_is_found(store: FolderStore) -> None:
    """Its entry comes back as it was written."""
    store.write("scores/part-00000-abc.parquet", b"whole")
    written = record_shard(store, "scores", "sha256:abc", entry(b"whole"))
    assert finished_shard(store, "scores", "sha256:abc") == written == entry(b"whole")


def test_an_entry_without_its_file_is_removed(store: FolderStore) -> None:
    """Else the shard could never be recorded again."""
    record_shard(store, "scores", "sha256:abc", entry(b"whole"))
    assert finished_shard(store, "scores", "sha256:abc") is None
    assert list(store.keys("scores/_manifest/")) == []


def test_the_first_of_two_writers_counts(store: FolderStore) -> None:
    """A second entry for the same shard is not written where the first one's file is whole."""
    store.write("scores/part-00000-abc.parquet", b"whole")
    first = record_shard(store, "scores", "sha256:abc", entry(b"whole"))
    assert record_shard(store, "scores", "sha256:abc", entry(b"later", "other")) == first


def test_an_entry_whose_file_has_gone_is_replaced(store: FolderStore) -> None:
    """An entry that another attempt left about a file that is no more gives way to ours."""
    record_shard(store, "scores", "sha256:abc", entry(b"gone", "gone.parquet"))
    store.write("scores/part-00000-abc.parquet", b"whole")
    assert record_shard(store, "scores", "sha256:abc", entry(b"whole")) == entry(b"whole")
