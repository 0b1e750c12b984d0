"""What every store promises, wherever its bytes lie."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from backbeat.data import FolderStore, open_store
from backbeat.errors import FinalError, InvalidStep, NotFound, UnmetNeed
from backbeat.ports import Store


def test_what_is_written_is_read(any_store: Store) -> None:
    """Bytes come back as they were, and a second write replaces the first."""
    assert not any_store.exists("a/b.bin")
    any_store.write("a/b.bin", b"one")
    any_store.write("a/b.bin", b"two")
    assert any_store.read("a/b.bin") == b"two"
    assert any_store.exists("a/b.bin")
    assert not any_store.exists("a")


@pytest.mark.parametrize(
    "key", ["x y", "a:b", "p%20q", "h#i", "ü/é", "a=b&c", "(x)[y]", "{day}", "a~b", "a+b"]
)
def test_names_are_kept_as_they_are(any_store: Store, key: str) -> None:
    """A key with marks that URLs give a meaning to is the same key when it is listed and read."""
    any_store.write(key, b"z")
    assert list(any_store.keys("")) == [key]
    assert any_store.read(key) == b"z"
    (found,) = any_store.files(key)
    assert (found.uri, found.size) == (key, 1)
    with any_store.filesystem(key).open_input_file(found.path) as file:
        assert file.read() == b"z"


def test_what_is_not_there_is_named(any_store: Store) -> None:
    """A missing key is NotFound with the key in it, and no file; so is a folder."""
    any_store.write("folder/x", b"")
    for key in ("absent", "folder"):
        with pytest.raises(NotFound, match=f"the store has nothing under '{key}'"):
            any_store.read(key)
    assert list(any_store.files("absent")) == []


def test_create_keeps_what_is_there(any_store: Store) -> None:
    """A second create is told no and changes nothing."""
    assert any_store.create("d/k", b"first")
    assert not any_store.create("d/k", b"second")
    assert any_store.read("d/k") == b"first"


def test_of_many_creators_one_wins(any_store: Store) -> None:
    """Of threads that create the same key at the same moment one is told yes; its bytes stay."""
    any_store.write("warm", b"")
    for round_ in range(5):
        together, won = threading.Barrier(6), []

        def create(name: int, key: str = f"race/{round_}") -> None:
            together.wait()  # noqa: B023 - the threads end within the round
            if any_store.create(key, str(name).encode() * 1000):
                won.append(name)  # noqa: B023 - the same

        threads = [threading.Thread(target=create, args=(name,)) for name in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert any_store.read(f"race/{round_}") == str(won[0]).encode() * 1000


def test_keys_are_sorted_and_whole(any_store: Store) -> None:
    """A prefix lists its keys in order; what is still being written is no key."""
    for key in ("b/2", "b/1", "a", "b/c/3", "bb"):
        any_store.write(key, b"")
    with any_store.writing("b/9") as temporary:
        temporary.write_bytes(b"half")
        assert list(any_store.keys("b/")) == ["b/1", "b/2", "b/c/3"]
    assert list(any_store.keys("b")) == ["b/1", "b/2", "b/9", "b/c/3", "bb"]
    assert list(any_store.keys("zz/")) == []
    assert list(any_store.keys("")) == ["a", "b/1", "b/2", "b/9", "b/c/3", "bb"]


def test_delete_is_the_same_twice(any_store: Store) -> None:
    """A key that is gone can be deleted again."""
    any_store.write("k", b"")
    any_store.delete("k")
    any_store.delete("k")
    assert not any_store.exists("k")


def test_a_write_that_fails_leaves_the_old_bytes(any_store: Store) -> None:
    """An error in the middle of writing changes nothing and leaves nothing behind."""
    any_store.write("k", b"old")
    seen: list[Path] = []

    def half() -> None:
        with any_store.writing("k") as temporary:
            seen.append(temporary)
            temporary.write_bytes(b"ha")
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        half()
    assert any_store.read("k") == b"old"
    assert list(any_store.keys("")) == ["k"]
    assert not seen[0].exists()


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "a\0b", "..", "", "."])
def test_a_key_stays_in_the_store(any_store: Store, key: str) -> None:
    """No key reaches out of the store or means the store itself, whatever is done with it."""
    calls: tuple[Callable[[], object], ...] = (
        lambda: any_store.read(key),
        lambda: any_store.write(key, b""),
        lambda: any_store.create(key, b""),
        lambda: any_store.delete(key),
        lambda: any_store.exists(key),
        lambda: any_store.address(key),
        lambda: any_store.writing(key).__enter__(),
    )
    for call in calls:
        with pytest.raises(FinalError, match=r"is no place in the store|leaves the store"):
            call()
    assert list(any_store.keys("")) == []


def test_a_folder_s_files_come_in_order_with_their_names(any_store: Store) -> None:
    """`files` of a folder names each as the folder with what lies below it."""
    for key in ("landing/b.parquet", "landing/a/c.parquet", "landing2/x"):
        any_store.write(key, key.encode())
    found = any_store.files("landing/")
    assert [(file.uri, file.size) for file in found] == [
        ("landing/a/c.parquet", 19),
        ("landing/b.parquet", 17),
    ]
    with any_store.filesystem("landing").open_input_file(found[0].path) as file:
        file.seek(8)
        assert file.read() == b"a/c.parquet"


def test_an_address_leads_back(any_store: Store) -> None:
    """A key's address, given to any store, is the same file."""
    any_store.write("a b/c.csv", b"x,y\n1,2\n")
    address = any_store.address("a b/c.csv")
    for reader in (any_store, FolderStore("never/made")):
        (found,) = reader.files(address)
        assert found.uri == address
        with reader.filesystem(address).open_input_stream(found.path) as file:
            assert file.read() == b"x,y\n1,2\n"


@pytest.mark.parametrize(
    "address",
    [
        "s3://AKIDEXAMPLE:hunter2@bucket/prefix",
        "s3://hunter2@bucket",
        "sftp://ana:hunter2@host/folder",
        "https://host/data.parquet?X-Amz-Signature=hunter2",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(
    tmp_path: Path, address: str
) -> None:
    """An address with a secret in it is refused, for a store and for data, without saying it."""
    for use in (open_store, FolderStore(tmp_path).files):
        with pytest.raises(InvalidStep) as caught:
            use(address)
        assert "hunter2" not in str(caught.value)
        assert "environment" in caught.value.hint


@pytest.mark.parametrize("address", ["s3://", "s3:///prefix"])
def test_an_address_without_a_bucket_is_refused(address: str) -> None:
    """A bucket's address names a bucket."""
    with pytest.raises(InvalidStep, match="names no bucket"):
        open_store(address)


def test_a_scheme_that_nobody_knows_is_named() -> None:
    """A scheme that fsspec does not know, or whose package is missing, is a need that is unmet."""
    with pytest.raises(UnmetNeed, match="no fsspec filesystem for gopher://"):
        open_store("gopher://host/x").exists("k")


def test_a_filesystem_s_scheme_is_the_same_in_capitals(tmp_path: Path) -> None:
    """`MEMORY://` is `memory://`."""
    open_store(f"memory://{tmp_path.name}").write("k", b"x")
    uri = f"MEMORY://{tmp_path.name}/k"
    assert [file.size for file in FolderStore(tmp_path).files(uri)] == [1]


def test_a_folder_s_address_may_be_a_uri(tmp_path: Path) -> None:
    """`file://` opens the folder that it names."""
    store = open_store((tmp_path / "a b").as_uri())
    store.write("k", b"x")
    assert (tmp_path / "a b/k").read_bytes() == b"x"
