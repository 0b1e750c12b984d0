from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backbeat.data import FolderStore
from backbeat.errors import FinalError, NotFound, StorageFull
from backbeat.ports import StoredFile

Make = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store in a folder that does not exist yet."""
    return FolderStore(tmp_path / "store")


def test_what_is_written_is_read(store: FolderStore) -> None:
    """Bytes come back as they were, and a second write replaces the first."""
    store.write("a/b.bin", b"one")
    store.write("a/b.bin", b"two")
    assert store.read("a/b.bin") == b"two"
    assert store.exists("a/b.bin")
    assert not store.exists("a")


@pytest.mark.parametrize("key", ["absent", "folder", "file.txt/below"])
def test_what_is_not_there_is_named(store: FolderStore, key: str) -> None:
    """A missing key, a folder and a path below a file are NotFound with the key in it."""
    store.write("folder/x", b"")
    store.write("file.txt", b"")
    with pytest.raises(NotFound, match=f"the store has nothing under '{key}'"):
        store.read(key)


def test_create_keeps_what_is_there(store: FolderStore) -> None:
    """A second create is told no and changes nothing."""
    assert store.create("k", b"first")
    assert not store.create("k", b"second")
    assert store.read("k") == b"first"


def test_keys_are_sorted_and_whole(store: FolderStore) -> None:
    """A prefix lists its keys in order; what is still being written is no key."""
    for key in ("b/2", "b/1", "a", "b/c/3", "bb"):
        store.write(key, b"")
    with store.writing("b/9") as temporary:
        temporary.write_bytes(b"half")
        assert list(store.keys("b/")) == ["b/1", "b/2", "b/c/3"]
    assert list(store.keys("b")) == ["b/1", "b/2", "b/9", "b/c/3", "bb"]
    assert list(store.keys("zz/")) == []


def test_delete_is_the_same_twice(store: FolderStore) -> None:
    """A key that is gone can be deleted again."""
    store.write("k", b"")
    store.delete("k")
    store.delete("k")
    assert not store.exists("k")


def test_a_write_that_fails_leaves_the_old_bytes(
    store: FolderStore, tmp_path: Path, folder_dump: Make
) -> None:
    """An error in the middle of writing changes nothing and leaves nothing behind."""
    store.write("k", b"old")
    before = folder_dump(tmp_path)

    def half() -> None:
        with store.writing("k") as temporary:
            temporary.write_bytes(b"ha")
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        half()
    assert folder_dump(tmp_path) == before


def test_a_writer_that_is_killed_leaves_nothing_visible(
    store: FolderStore, start_python: Make
) -> None:
    """After SIGKILL in the middle, the key has its old bytes and no half file is listed."""
    store.write("d/k", b"old")
    source = """
import os, sys
from backbeat.data import FolderStore
with FolderStore(sys.argv[1]).writing("d/k") as temporary:
    temporary.write_bytes(b"ha")
    os.kill(os.getpid(), 9)
"""
    process = start_python(source, store.root)
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert store.read("d/k") == b"old"
    assert list(store.keys("")) == ["d/k"]
    assert len(list((store.root / "d").iterdir())) == 2  # the half file is there, unseen


def test_of_many_creators_one_wins(store: FolderStore, start_python: Make) -> None:
    """Processes that create the same key at the same moment: one is told yes, its bytes stay."""
    source = """
import sys
from backbeat.data import FolderStore
store = FolderStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(store.create("lock/k", sys.argv[2].encode() * 1000))
"""
    processes = [start_python(source, store.root, number) for number in range(5)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert sorted(answers) == ["False"] * 4 + ["True"]
    assert store.read("lock/k") == str(answers.index("True")).encode() * 1000


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "a\0b", "..", "", "."])
def test_a_key_stays_in_the_store(store: FolderStore, tmp_path: Path, key: str) -> None:
    """No key reaches out of the store or means the store itself, whatever is done with it."""
    calls: tuple[Callable[[], object], ...] = (
        lambda: store.read(key),
        lambda: store.write(key, b""),
        lambda: store.create(key, b""),
        lambda: store.delete(key),
        lambda: store.exists(key),
    )
    for call in calls:
        with pytest.raises(FinalError, match=r"is no place in the store|leaves the store"):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["file/below", "folder"])
def test_a_key_that_cannot_be_written_is_an_error_of_ours(
    store: FolderStore, tmp_path: Path, folder_dump: Make, key: str
) -> None:
    """A key below a file, or one that is a folder, is named, and nothing is touched."""
    store.write("file", b"x")
    store.write("folder/y", b"y")
    before = folder_dump(tmp_path)
    for write in (store.write, store.create):
        if (write, key) == (store.create, "folder"):
            assert not store.create(key, b"")
            continue
        with pytest.raises(FinalError, match=f"cannot write '{key}'"):
            write(key, b"new")
    assert folder_dump(tmp_path) == before


def test_a_full_disk_is_named_and_nothing_is_half_written(
    small_disk: Make, folder_dump: Make
) -> None:
    """Without room a write and a create fail as retryable; the old bytes stay, alone."""
    disk = small_disk("64k")
    store = FolderStore(disk)
    store.write("k", b"old")
    before = folder_dump(disk)
    for write in (store.write, store.create):
        with pytest.raises(StorageFull) as caught:
            write("k" if write == store.write else "new", b"x" * 100_000)
        assert "No space left on device" in caught.value.message
        assert caught.value.retryable
    assert folder_dump(disk) == before


@pytest.mark.parametrize(
    ("uri", "below"),
    [
        ("a/b.parquet", "store/a/b.parquet"),
        ("file://{root}/c%20d.csv", "c d.csv"),
        ("{root}/e", "e"),
    ],
)
def test_a_uri_is_located(store: FolderStore, tmp_path: Path, uri: str, below: str) -> None:
    """Keys, absolute paths and file URIs become local files, which have no version."""
    path = tmp_path / below
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    uri = uri.format(root=tmp_path)
    assert list(store.files(uri)) == [StoredFile(uri, str(path), 1, None)]
    with store.filesystem(uri).open_input_file(str(path)) as file:
        assert file.read() == b"x"


def test_a_written_file_is_readable_for_others(store: FolderStore) -> None:
    """Files get the permissions of the user's umask, not those of a temporary file."""
    old = os.umask(0o022)
    try:
        store.write("k", b"")
    finally:
        os.umask(old)
    assert (store.root / "k").stat().st_mode & 0o777 == 0o644
