from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backbeat import DataRef, Dataset
from backbeat.data import FolderStore, open_dataset, references, require_columns
from backbeat.errors import ContractBroken, InvalidData

Make = Callable[..., Any]
TABLE = pa.table({"flight": [1, 2, 3], "delay": [0.5, None, 2.0]})


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store with three days of two columns."""
    made = FolderStore(tmp_path)
    for day in (7, 8, 9):
        _put(made, f"landing/2013-03-0{day}.parquet", TABLE)
    return made


def _put(store: FolderStore, key: str, table: pa.Table) -> None:
    with store.writing(key) as path:
        pq.write_table(table, path)


def _window(**fields: Any) -> Dataset:
    known = {"uri": "landing/{day}.parquet", "until": date(2013, 3, 9), "days": 3}
    return Dataset.model_validate({**known, **fields})


def test_a_window_becomes_files_with_digests(store: FolderStore) -> None:
    """Each day is one reference: its key, the digest of its bytes, its day."""
    refs = references(store, _window())
    assert [ref.partition for ref in refs] == ["2013-03-07", "2013-03-08", "2013-03-09"]
    content = store.read("landing/2013-03-08.parquet")
    assert refs[1] == DataRef(
        uri="landing/2013-03-08.parquet",
        digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
        partition="2013-03-08",
    )
    assert open_dataset(store, refs).count_rows() == 9


def test_a_folder_is_all_its_tables(store: FolderStore) -> None:
    """A folder's tables come in order; notes, hidden and unfinished files are not among them."""
    for name in ("_SUCCESS", ".hidden.parquet", "readme.txt", "_temporary/0/part.parquet"):
        store.write(f"landing/{name}", b"x")
    refs = references(store, Dataset(uri="landing"))
    assert [ref.uri for ref in refs] == [f"landing/2013-03-0{day}.parquet" for day in (7, 8, 9)]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            _window(shift=1),
            "1 of 3 files are missing, the first is landing/2013-03-10.parquet",
        ),
        (
            _window(shift=10, missing="skip"),
            "3 of 3 files are missing, the first is landing/2013-03-17.parquet",
        ),
        (
            Dataset(uri="landng/x.parquet"),
            "1 of 1 files are missing, the first is landng/x.parquet",
        ),
        (Dataset(uri="empty"), "empty is missing or an empty folder"),
        (Dataset(uri="notes"), "notes has no .parquet or .csv file"),
        (Dataset(uri="notes.txt"), "notes.txt is neither .parquet nor .csv"),
    ],
)
def test_data_that_is_missing_is_named(
    store: FolderStore, tmp_path: Path, folder_dump: Make, dataset: Dataset, message: str
) -> None:
    """The first missing file is in the message, and looking for it changes nothing."""
    (tmp_path / "empty").mkdir()
    store.write("notes.txt", b"x")
    store.write("notes/_SUCCESS", b"")
    before = folder_dump(tmp_path)
    with pytest.raises(InvalidData) as caught:
        references(store, dataset)
    assert caught.value.message == message
    assert folder_dump(tmp_path) == before


def test_missing_days_can_be_skipped(store: FolderStore) -> None:
    """With missing='skip' the days that are there are used."""
    refs = references(store, _window(shift=1, missing="skip"))
    assert [ref.partition for ref in refs] == ["2013-03-08", "2013-03-09"]


def _truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: b"", r"landing/2013-03-08.parquet is empty \(0 bytes\)"),
        (_truncated, "landing/2013-03-08.parquet is not a whole parquet file: "),
        (lambda content: b"PK\3\4 a zip" * 50, "2013-03-08.parquet is not a whole parquet file: "),
        (lambda content: b"PAR1", "landing/2013-03-08.parquet is not a whole parquet file: "),
    ],
    ids=["empty", "truncated", "foreign", "a few bytes"],
)
def test_a_spoilt_file_is_named(
    store: FolderStore,
    tmp_path: Path,
    folder_dump: Make,
    spoil: Callable[[bytes], bytes],
    message: str,
) -> None:
    """Empty, truncated and foreign files are refused by name when they are opened."""
    key = "landing/2013-03-08.parquet"
    store.write(key, spoil(store.read(key)))
    before = folder_dump(tmp_path)
    with pytest.raises(InvalidData, match=message) as caught:
        open_dataset(store, references(store, _window()))
    assert "land" in caught.value.hint
    assert folder_dump(tmp_path) == before


def test_a_file_that_went_is_named(store: FolderStore) -> None:
    """A file that is deleted between its reference and its opening is refused by name."""
    refs = references(store, _window())
    store.delete("landing/2013-03-08.parquet")
    with pytest.raises(InvalidData, match=r"2013-03-08\.parquet is gone"):
        open_dataset(store, refs)


@pytest.mark.parametrize(
    ("table", "difference"),
    [
        (TABLE.drop_columns(["delay"]), "column delay is missing"),
        (TABLE.append_column("new", pa.array([1, 2, 3])), "column new is new"),
        (
            TABLE.rename_columns(["flight", "dealy"]),
            "column delay is missing; column dealy is new",
        ),
        (
            TABLE.set_column(0, "flight", pa.array(["a", "b", "c"])),
            "column flight is string instead of int64",
        ),
    ],
)
def test_a_day_with_other_columns_is_a_broken_contract(
    store: FolderStore, table: pa.Table, difference: str
) -> None:
    """A missing, new, renamed or retyped column is told as a difference to the first file."""
    _put(store, "landing/2013-03-08.parquet", table)
    with pytest.raises(ContractBroken) as caught:
        open_dataset(store, references(store, _window()))
    assert caught.value.message == (
        "landing/2013-03-08.parquet does not have the columns of landing/2013-03-07.parquet: "
        + difference
    )


def test_columns_in_another_order_are_the_same_columns(store: FolderStore) -> None:
    """The order of columns is no contract: each is read by its name."""
    _put(store, "landing/2013-03-08.parquet", TABLE.select(["delay", "flight"]))
    found = open_dataset(store, references(store, _window())).to_table()
    assert found["flight"].to_pylist() == [1, 2, 3] * 3


def test_a_missing_column_is_told_with_its_neighbours(store: FolderStore) -> None:
    """What is needed and absent is named, with what looks like it."""
    data = open_dataset(store, references(store, _window()))
    require_columns(data, ["flight", "delay"], what="labels")
    with pytest.raises(ContractBroken) as caught:
        require_columns(data, ["flight", "dealy"], what="labels")
    assert caught.value.message == "the labels lack the column dealy; there are flight, delay"
    assert caught.value.hint == "did you mean delay?"


def test_a_change_of_one_byte_is_another_digest(store: FolderStore) -> None:
    """References pin content: the same name with other bytes is another reference."""
    [before] = references(store, Dataset(uri="landing/2013-03-08.parquet"))
    _put(store, "landing/2013-03-08.parquet", TABLE.slice(0, 2))
    [after] = references(store, Dataset(uri="landing/2013-03-08.parquet"))
    assert before.digest != after.digest


def test_a_huge_file_is_pinned_without_reading_it(tmp_path: Path) -> None:
    """Beyond 64 MiB size, time and footer are the digest, and it says so."""
    store = FolderStore(tmp_path)
    with (tmp_path / "huge.parquet").open("wb") as file:
        file.truncate(65 * 2**20)
    [before] = references(store, Dataset(uri="huge.parquet"))
    # what an earlier release has recorded must still be the same file
    path = tmp_path / "huge.parquet"
    known = f"{path.stat().st_size}:{path.stat().st_mtime_ns}:".encode() + bytes(2**16)
    assert before.digest == f"stat:{hashlib.sha256(known).hexdigest()}"
    with (tmp_path / "huge.parquet").open("r+b") as file:
        file.seek(-10, 2)
        file.write(b"x")
    [after] = references(store, Dataset(uri="huge.parquet"))
    assert after.digest != before.digest
