from __future__ import annotations

import subprocess
import sys
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.data import FolderStore
from backbeat.errors import (
    Conflict,
    ContractBroken,
    FencedOut,
    InvalidData,
    InvalidStep,
    UserCodeFailed,
)
from backbeat.inference import Scored, read_scores, score

OUTPUT = "scores/flights/2013-02-11"
SHARDS = 10


def scored(data: ds.Dataset, store: FolderStore, model: Any, **changes: Any) -> Scored:
    """Score with what a test does not care about filled in."""
    arguments: dict[str, Any] = {
        "input_digest": "sha256:input",
        "model_version": "models:/flights/1",
        "output": OUTPUT,
        "key_columns": ["flight_id"],
        "features": ["x"],
        "shard_rows": 10,
        "partition": None,
        "progress": lambda done, total: None,
        "ensure_current": lambda: None,
    }
    return score(data, model=model, store=store, **arguments | changes)


def test_every_row_is_scored_once_in_order(
    data: ds.Dataset, store: FolderStore, model: Any
) -> None:
    """The output is the keys, the scores and the model, in the order of the input."""
    done = scored(data, store, model, partition="2013-02-11")
    assert (done.rows, done.shards, done.reused) == (95, SHARDS, 0)
    table = read_scores(store, OUTPUT)
    assert table.column_names == ["flight_id", "score", "model_version", "partition"]
    assert table["flight_id"].to_pylist() == [f"f{number}" for number in range(95)]
    assert table["score"].to_pylist() == [2.0 * number for number in range(95)]
    assert set(table["model_version"].to_pylist()) == {"models:/flights/1"}
    assert set(table["partition"].to_pylist()) == {"2013-02-11"}
    assert [len(call) for call in model.calls] == [10] * 9 + [5]


def test_a_second_attempt_scores_nothing(data: ds.Dataset, store: FolderStore, model: Any) -> None:
    """All shards are reused, the model is not called, and the manifest is the same."""
    first = scored(data, store, model)
    calls = len(model.calls)
    again = scored(data, store, model)
    assert len(model.calls) == calls
    assert again.reused == again.shards == SHARDS
    assert (again.digest, again.files) == (first.digest, first.files)


def test_another_version_is_scored_anew_and_the_old_parts_are_not_read(
    data: ds.Dataset, store: FolderStore, model: Any
) -> None:
    """After a new model under the same output, readers see its scores and nothing else."""
    first = scored(data, store, model)
    second = scored(data, store, model, model_version="models:/flights/2", shard_rows=50)
    assert second.reused == 0
    assert all(store.exists(file) for file in first.files)
    assert not set(first.files) & set(second.files)
    table = read_scores(store, OUTPUT)
    assert len(table) == 95
    assert set(table["model_version"].to_pylist()) == {"models:/flights/2"}


def test_going_back_to_a_version_reuses_its_parts(
    data: ds.Dataset, store: FolderStore, model: Any
) -> None:
    """A rollback costs a manifest, not a scoring."""
    first = scored(data, store, model)
    scored(data, store, model, model_version="models:/flights/2")
    back = scored(data, store, model)
    assert (back.reused, back.digest) == (SHARDS, first.digest)
    assert set(read_scores(store, OUTPUT)["model_version"].to_pylist()) == {"models:/flights/1"}


@pytest.mark.parametrize(
    "change",
    [
        {"input_digest": "sha256:other"},
        {"features": ["x", "carrier"]},
        {"column": "probability"},
        {"partition": "2013-02-12"},
        {"key_columns": ["flight_id", "carrier"]},
    ],
)
def test_other_inputs_or_parameters_are_scored_anew(
    data: ds.Dataset, store: FolderStore, model: Any, change: dict[str, Any]
) -> None:
    """Nothing that the scores or their files depend on is left out of a shard's key."""
    scored(data, store, model)
    assert scored(data, store, model, **change).reused == 0


@pytest.mark.parametrize("damage", ["truncated", "missing", "foreign"])
def test_a_damaged_part_is_scored_again(
    data: ds.Dataset, store: FolderStore, model: Any, damage: str
) -> None:
    """A part whose bytes are not those recorded is not reused, and is replaced."""
    first = scored(data, store, model)
    part = store.root / first.files[3]
    if damage == "missing":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:100] if damage == "truncated" else b"PAR1")
    with pytest.raises(InvalidData, match="part-00003"):
        read_scores(store, OUTPUT)
    model.calls.clear()
    again = scored(data, store, model)
    assert model.calls == [[float(number) for number in range(30, 40)]]
    assert (again.reused, again.digest) == (SHARDS - 1, first.digest)
    assert len(read_scores(store, OUTPUT)) == 95


def test_a_damaged_entry_is_written_again(data: ds.Dataset, store: FolderStore, model: Any) -> None:
    """An entry that is no JSON counts as none, and the next attempt can record the shard."""
    scored(data, store, model)
    entry = next(iter(store.keys(f"{OUTPUT}/_manifest/")))
    store.write(entry, b"{half")
    assert scored(data, store, model).reused == SHARDS - 1
    assert scored(data, store, model).reused == SHARDS


@pytest.mark.parametrize(
    ("value", "reason"),
    [("f7", "1 keys come more than once, such as flight_id='f7'"), (None, "is null in some rows")],
)
def test_bad_keys_are_refused_before_anything_is_written(
    data: ds.Dataset, store: FolderStore, model: Any, value: str | None, reason: str
) -> None:
    """A key that comes twice, in different files, or is null leaves the store as it was."""
    table = data.to_table()
    keys = table["flight_id"].to_pylist()
    keys[90] = value
    broken = table.set_column(0, "flight_id", pa.array(keys, pa.string()))
    with pytest.raises(InvalidData, match=reason):
        scored(ds.dataset(broken), store, model)
    assert list(store.keys("")) == []
    assert model.calls == []


def test_several_columns_can_be_the_key(data: ds.Dataset, store: FolderStore, model: Any) -> None:
    """Rows that share one key column but not both are different rows."""
    scored(data, store, model, key_columns=["carrier", "flight_id"])
    assert read_scores(store, OUTPUT).column_names[:2] == ["carrier", "flight_id"]


def test_without_features_the_model_gets_all_but_the_key(
    data: ds.Dataset, store: FolderStore
) -> None:
    """In the order of the input's columns."""
    seen: list[list[str]] = []

    class Model:
        def predict(self, frame: pd.DataFrame) -> Any:
            seen.append(list(frame.columns))
            return [0.0] * len(frame)

    scored(data, store, Model(), features=None)
    assert seen[0] == ["x", "carrier"]


@pytest.mark.parametrize(
    "change",
    [{"column": "flight_id"}, {"column": "model_version"}, {"shard_rows": 0}, {"features": []}],
)
def test_settings_that_cannot_work_are_refused(
    data: ds.Dataset, store: FolderStore, model: Any, change: dict[str, Any]
) -> None:
    """An output column that exists twice, or a model without columns, is an invalid step."""
    with pytest.raises(InvalidStep):
        scored(data, store, model, **change)


def test_a_missing_column_breaks_the_contract(
    data: ds.Dataset, store: FolderStore, model: Any
) -> None:
    """It is named, with the column that was probably meant."""
    with pytest.raises(ContractBroken, match="flight_ids") as caught:
        scored(data, store, model, key_columns=["flight_ids"])
    assert "flight_id" in caught.value.hint


def test_a_table_without_rows_gives_a_table_without_rows(store: FolderStore, model: Any) -> None:
    """The model is not asked, and readers find the columns."""
    empty = pa.table({"flight_id": pa.array([], pa.string()), "x": pa.array([], pa.float64())})
    done = scored(ds.dataset(empty), store, model)
    assert (done.rows, done.shards, model.calls) == (0, 1, [])
    assert read_scores(store, OUTPUT).column_names == ["flight_id", "score", "model_version"]


def test_what_the_model_raises_is_told_with_its_rows(
    data: ds.Dataset, store: FolderStore, model: Any
) -> None:
    """The shards before stay, and the next attempt begins there."""

    class Fails:
        def predict(self, frame: pd.DataFrame) -> Any:
            if 25.0 in frame["x"].tolist():
                raise KeyError("wind")
            return model.predict(frame)

    with pytest.raises(UserCodeFailed, match="KeyError on the rows 20 to 29"):
        scored(data, store, Fails())
    assert scored(data, store, model).reused == 2


def test_progress_counts_reused_shards(data: ds.Dataset, store: FolderStore, model: Any) -> None:
    """People see what is left, not what was done yesterday."""
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))

    first = scored(data, store, model, progress=progress)
    assert told == [(number, SHARDS) for number in range(1, SHARDS + 1)]
    told.clear()
    for file in first.files[-2:]:
        store.delete(file)
    scored(data, store, model, progress=progress)
    assert told == [(8, SHARDS), (9, SHARDS), (10, SHARDS)]


def test_an_attempt_that_was_overtaken_writes_no_more(
    data: ds.Dataset, store: FolderStore, model: Any
) -> None:
    """It is asked before each shard and before the manifest; what is written already is right."""
    asked = 0

    def ensure_current() -> None:
        nonlocal asked
        asked += 1
        if asked == 4:
            raise FencedOut("a later attempt has taken over")

    with pytest.raises(FencedOut):
        scored(data, store, model, ensure_current=ensure_current)
    assert len(model.calls) == 3
    assert not store.exists(f"{OUTPUT}/manifest.json")
    asked = -100
    assert scored(data, store, model, ensure_current=ensure_current).reused == 3


def test_the_manifest_is_not_replaced_by_an_overtaken_attempt(
    data: ds.Dataset, store: FolderStore, model: Any
) -> None:
    """Even where every shard is done, the last word is the later attempt's."""
    scored(data, store, model)

    def overtaken() -> None:
        raise FencedOut("a later attempt has taken over")

    store.delete(f"{OUTPUT}/manifest.json")
    with pytest.raises(FencedOut):
        scored(data, store, model, ensure_current=overtaken)
    assert not store.exists(f"{OUTPUT}/manifest.json")


def test_entries_that_do_not_add_up_are_a_conflict(
    data: ds.Dataset, store: FolderStore, model: Any
) -> None:
    """Rows out must be rows in, also where an entry says otherwise."""
    scored(data, store, model)
    entry = next(iter(store.keys(f"{OUTPUT}/_manifest/")))
    store.write(entry, store.read(entry).replace(b'"rows":10', b'"rows":11'))
    with pytest.raises(Conflict, match="96 rows were scored of 95"):
        scored(data, store, model)


KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow.dataset as ds
from backbeat.data import FolderStore
from backbeat.inference import score

root, point, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
count = 0

def reached(name):
    global count
    if name == point:
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

class Dying(FolderStore):
    def writing(self, key):
        reached("before the file")
        return super().writing(key)
    def create(self, key, data):
        reached("before the entry")
        done = super().create(key, data)
        reached("after the entry")
        return done
    def write(self, key, data):
        reached("before the manifest")
        super().write(key, data)
        reached("after the manifest")

class Model:
    def predict(self, frame):
        reached("while scoring")
        return frame["x"].to_numpy() * 2

files = sorted((root / "landing").iterdir())
score(
    ds.dataset([ds.dataset(file) for file in files]), model=Model(), store=Dying(root / "store"),
    input_digest="sha256:input", model_version="models:/flights/1",
    output="scores/flights/2013-02-11", key_columns=["flight_id"], features=["x"], shard_rows=10,
    partition=None, progress=lambda done, total: None, ensure_current=lambda: None,
)
"""


@pytest.mark.parametrize(
    ("kill", "kept"),
    [
        (("while scoring", 0), 0),
        (("while scoring", 4), 4),
        (("while scoring", 9), 9),
        (("before the file", 3), 3),
        (("before the entry", 3), 3),
        (("after the entry", 3), 4),
        (("before the manifest", 0), 10),
        (("after the manifest", 0), 10),
    ],
)
def test_a_kill_at_any_point_costs_at_most_its_shard(
    data: ds.Dataset, store: FolderStore, model: Any, kill: tuple[str, int], kept: int
) -> None:
    """After SIGKILL the recorded shards are reused and every row is there exactly once."""
    point, at = kill
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(store.root.parent), point, str(at)],
        check=False,
        timeout=120,
    )
    assert killed.returncode == -9
    done = scored(data, store, model)
    assert (done.reused, len(model.calls)) == (kept, SHARDS - kept)
    table = read_scores(store, OUTPUT)
    assert table["flight_id"].to_pylist() == [f"f{number}" for number in range(95)]
    assert table["score"].to_pylist() == [2.0 * number for number in range(95)]
    assert [key for key in store.keys(f"{OUTPUT}/part-") if key not in done.files] == []
