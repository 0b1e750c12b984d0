"""Scores in a Delta table: read back by deltalake, after kills, races and repairs."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from backbeat import Actor, RunIdentity, embedded, run_step
from backbeat.data import FolderStore
from backbeat.errors import (
    ContractBroken,
    FencedOut,
    InvalidData,
    InvalidStep,
    NotFound,
    Overloaded,
    UnmetNeed,
)
from backbeat.inference import delta, score
from backbeat.inference.delta import publish_delta
from backbeat.kinds import step_from_fields
from backbeat.steps import BatchInference

DAY = "scores/it's 100% a=b/2013-02-11"
OTHER = "scores/2013-02-12"
TABLE = "tables/scores"
_WORKER = Path(__file__).with_name("delta_worker.py")


class Model:
    """Scores by a number that tells one version from another."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def predict(self, frame: Any) -> Any:
        return frame["x"].to_numpy() * self.factor


def scored(
    store: FolderStore, output: str, ids: Sequence[int], *, factor: float = 2.0, **columns: Any
) -> None:
    """Score rows, five a shard, and publish their manifest."""
    table = pa.table(
        {"id": pa.array(ids, pa.int64()), "x": pa.array([float(each) for each in ids]), **columns}
    )
    score(
        ds.dataset(table),
        input_digest=f"sha256:{list(ids)}",
        model=Model(factor),
        model_version=f"models:/m/{factor}",
        store=store,
        output=output,
        key_columns=["id", *columns],
        features=["x"],
        shard_rows=5,
    )


def rows(store: FolderStore, output: str | None = None) -> list[tuple[int, float]]:
    """What deltalake reads: id and score, sorted, of one output or of all."""
    table = DeltaTable(str(store.root / TABLE)).to_pyarrow_table()
    found = table.to_pylist()
    return sorted((row["id"], row["score"]) for row in found if output in {None, row["output_key"]})


def expected(ids: Sequence[int], factor: float = 2.0) -> list[tuple[int, float]]:
    """The same by hand."""
    return [(each, each * factor) for each in sorted(ids)]


def test_every_row_is_in_the_table_once(store: FolderStore) -> None:
    """Keys, scores and model, with the output that they are of, whatever its name holds."""
    scored(store, DAY, range(12))
    done = publish_delta(store, DAY, TABLE)
    assert (done.rows, done.repeated) == (12, False)
    assert rows(store) == expected(range(12))
    table = DeltaTable(done.table, version=done.version).to_pyarrow_table()
    assert set(table.column_names) == {"id", "score", "model_version", "output_key"}
    assert set(table["output_key"].to_pylist()) == {DAY}


def test_duckdb_reads_the_same(store: FolderStore) -> None:
    """Another engine sees the rows of the table's files."""
    scored(store, DAY, range(12))
    publish_delta(store, DAY, TABLE)
    found = DeltaTable(str(store.root / TABLE)).to_pyarrow_dataset()  # noqa: F841 - duckdb's name
    assert duckdb.sql("select count(*), sum(score) from found").fetchall() == [(12, 132.0)]


def test_the_same_scores_are_committed_once(store: FolderStore) -> None:
    """A second attempt finds the manifest's transaction and leaves the table as it is."""
    scored(store, DAY, range(12))
    first = publish_delta(store, DAY, TABLE)
    again = publish_delta(store, DAY, TABLE)
    assert (again.repeated, again.version, again.rows) == (True, first.version, 12)
    assert rows(store) == expected(range(12))


def test_other_rows_take_the_place_of_those_before(store: FolderStore) -> None:
    """A re-run replaces its own output's rows and nobody else's; going back does so again."""
    scored(store, OTHER, [100])
    publish_delta(store, OTHER, TABLE)
    for ids, factor in ((range(12), 2.0), (range(3, 7), 3.0), (range(12), 2.0)):
        scored(store, DAY, ids, factor=factor)
        assert not publish_delta(store, DAY, TABLE).repeated
        assert rows(store, DAY) == expected(ids, factor)
    assert rows(store, OTHER) == [(100, 200.0)]


def test_no_rows_are_rows_too(store: FolderStore) -> None:
    """A day without rows empties its part of the table, once."""
    scored(store, DAY, range(5))
    publish_delta(store, DAY, TABLE)
    scored(store, DAY, [])
    assert publish_delta(store, DAY, TABLE).rows == 0
    assert publish_delta(store, DAY, TABLE).repeated
    assert rows(store) == []


def test_a_new_column_is_added_and_a_missing_one_is_null(store: FolderStore) -> None:
    """Outputs of one table may differ in columns."""
    scored(store, DAY, [1])
    publish_delta(store, DAY, TABLE)
    scored(store, OTHER, [2], depot=pa.array(["north"]))
    publish_delta(store, OTHER, TABLE)
    scored(store, "third", [3])
    publish_delta(store, "third", TABLE)
    found = DeltaTable(str(store.root / TABLE)).to_pyarrow_table().sort_by("id")
    assert found["depot"].to_pylist() == [None, "north", None]


def test_types_that_delta_lacks_become_wider_ones(store: FolderStore) -> None:
    """Unsigned numbers, dictionaries and nanoseconds keep their values."""
    columns = {
        "small": pa.array([255], pa.uint8()),
        "large": pa.array([2**40], pa.uint64()),
        "depot": pa.array(["north"]).dictionary_encode(),
        "at": pa.array([1_000_000], pa.timestamp("ns", "Europe/Berlin")),
        "on": pa.array([0], pa.date32()),
    }
    scored(store, DAY, [1], **columns)
    publish_delta(store, DAY, TABLE)
    (row,) = DeltaTable(str(store.root / TABLE)).to_pyarrow_table().to_pylist()
    assert (row["small"], row["large"], row["depot"]) == (255, 2**40, "north")
    assert row["at"].timestamp() == 0.001


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([2**63], pa.uint64()), "cannot be int64"),
        (pa.array([1], pa.time64("us")), "no type for"),
        (pa.array([1], pa.timestamp("ns")), "cannot be timestamp"),
    ],
)
def test_a_value_that_would_change_is_refused(
    store: FolderStore, column: pa.Array, message: str
) -> None:
    """Nothing is rounded or wrapped on its way into the table."""
    scored(store, DAY, [1], odd=column)
    with pytest.raises(ContractBroken, match=message):
        publish_delta(store, DAY, TABLE)
    assert rows_if_any(store) == []


def rows_if_any(store: FolderStore) -> list[tuple[int, float]]:
    """The table's rows, none where there is no table."""
    return rows(store) if (store.root / TABLE / "_delta_log").exists() else []


def test_another_type_than_the_table_has_is_refused(store: FolderStore) -> None:
    """Text does not become a number; a whole number goes where numbers are."""
    scored(store, DAY, [1], depot=pa.array(["north"]), weight=pa.array([0.5]))
    publish_delta(store, DAY, TABLE)
    scored(store, OTHER, [2], depot=pa.array(["south"]), weight=pa.array([3], pa.int32()))
    publish_delta(store, OTHER, TABLE)
    scored(store, "third", [3], depot=pa.array([7]), weight=pa.array([1.0]))
    with pytest.raises(ContractBroken, match="depot is string, and that of the scores is int64"):
        publish_delta(store, "third", TABLE)
    assert rows(store) == expected([1, 2])


def test_a_table_of_others_is_left_alone(store: FolderStore) -> None:
    """One that is not partitioned by outputs could not be replaced by them."""
    where = str(store.root / TABLE)
    write_deltalake(where, pa.table({"id": [1], "score": [1.0]}))
    scored(store, DAY, [1])
    with pytest.raises(ContractBroken, match="partitioned by nothing"):
        publish_delta(store, DAY, TABLE)
    assert DeltaTable(where).version() == 0


def test_a_damaged_file_commits_nothing(store: FolderStore) -> None:
    """The second of three files is not the one that was scored: the table is as it was."""
    scored(store, DAY, range(12))
    publish_delta(store, DAY, TABLE)
    scored(store, DAY, range(20, 32))
    (part,) = [key for key in store.keys(f"{DAY}/part-00001") if _has(store, key, 25)]
    store.write(part, store.read(part)[:-20] + b"x" * 20)
    with pytest.raises(InvalidData, match="not the file that was scored"):
        publish_delta(store, DAY, TABLE)
    assert rows(store) == expected(range(12))


def _has(store: FolderStore, key: str, row: int) -> bool:
    table = pq.read_table(pa.BufferReader(store.read(key)))
    return row in table["id"].to_pylist()


def test_a_file_damaged_inside_commits_nothing(store: FolderStore) -> None:
    """Its footer is sound and its digest is not; what is wrong is said, and not Arrow's words."""
    scored(store, DAY, range(12))
    (part,) = store.keys(f"{DAY}/part-00002")
    content = bytearray(store.read(part))
    content[6] ^= 1
    store.write(part, bytes(content))
    with pytest.raises(InvalidData, match="not the file that was scored"):
        publish_delta(store, DAY, TABLE)
    assert rows_if_any(store) == []


def test_nothing_finished_is_not_found(store: FolderStore) -> None:
    """And no table is made."""
    with pytest.raises(NotFound):
        publish_delta(store, DAY, TABLE)
    assert not (store.root / TABLE).exists()


def test_a_worker_that_was_overtaken_commits_nothing(store: FolderStore) -> None:
    """The fence is asked before each commit."""
    scored(store, DAY, range(12))

    def fenced() -> None:
        raise FencedOut("a later attempt has taken over")

    with pytest.raises(FencedOut):
        publish_delta(store, DAY, TABLE, ensure_current=fenced)
    assert rows_if_any(store) == []


def test_scores_of_others_between_reading_and_committing_win(store: FolderStore) -> None:
    """A stalled worker's older rows never take the place of newer ones that are committed."""
    scored(store, DAY, range(5))
    publish_delta(store, DAY, TABLE)
    scored(store, DAY, range(12))
    overtaken = []

    def newer_ones_come() -> None:
        if not overtaken:
            overtaken.append(True)
            scored(store, DAY, range(3), factor=5.0)
            publish_delta(store, DAY, TABLE)

    done = publish_delta(store, DAY, TABLE, ensure_current=newer_ones_come)
    assert done.repeated
    assert rows(store) == expected(range(3), 5.0)


def test_a_table_that_others_change_all_the_time_is_given_up(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many lost races it is an error that a retry can help."""
    monkeypatch.setattr("backbeat.inference.delta._LONGEST_WAIT", 0.0)
    scored(store, DAY, range(5))
    publish_delta(store, DAY, TABLE)
    factor = 2.0

    def another_one_comes() -> None:
        nonlocal factor
        factor += 1
        scored(store, DAY, range(3), factor=factor)
        publish_delta(store, DAY, TABLE)
        # and what was read before is published again, so that it is to be committed
        scored(store, DAY, range(12))

    scored(store, DAY, range(12))
    with pytest.raises(Overloaded, match="changed by others"):
        publish_delta(store, DAY, TABLE, ensure_current=another_one_comes)


@pytest.mark.parametrize(
    "window", ["before the table", "before the commit", "while writing", "after"]
)
def test_a_worker_killed_anywhere_leaves_every_row_once(store: FolderStore, window: str) -> None:
    """SIGKILL, then the next attempt: the rows are there once, and so is the commit."""
    scored(store, OTHER, [100])
    if window != "before the table":
        publish_delta(store, OTHER, TABLE)
    scored(store, DAY, range(12))
    ended = subprocess.run(
        [sys.executable, _WORKER, store.root, DAY, TABLE, window], check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL
    done = publish_delta(store, DAY, TABLE)
    assert done.repeated == (window == "after")
    assert rows(store, DAY) == expected(range(12))
    assert rows(store, OTHER) == ([] if window == "before the table" else [(100, 200.0)])


def test_kills_at_any_moment_leave_every_row_once(store: FolderStore) -> None:
    """Workers that are killed at moments nobody chose, over one growing output."""
    dice = random.Random(7)  # noqa: S311 - the same moments every time
    for turn in range(8):
        ids = range(turn, turn + 40)
        scored(store, DAY, ids, factor=float(turn + 1))
        worker = subprocess.Popen(
            [sys.executable, _WORKER, store.root, DAY, TABLE, "never"], stdout=subprocess.PIPE
        )
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"begins\n"
        time.sleep(dice.uniform(0, 0.03))
        worker.send_signal(signal.SIGKILL)
        worker.wait(timeout=30)
        worker.stdout.close()
        publish_delta(store, DAY, TABLE)
        assert rows(store) == expected(ids, float(turn + 1))


def _together(work: Sequence[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(len(work)) as pool:
        return [each.result() for each in [pool.submit(one) for one in work]]


def test_many_processes_with_the_same_scores_commit_once(store: FolderStore) -> None:
    """Nobody's table, four processes at once: one commit, every row once."""
    scored(store, DAY, range(12))
    workers = [
        subprocess.Popen(
            [sys.executable, _WORKER, store.root, DAY, TABLE, "never"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [worker.communicate(timeout=60)[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert sorted(words[-1] for words in said) == ["False", "True", "True", "True"]
    assert rows(store) == expected(range(12))
    writes = [
        each
        for each in DeltaTable(str(store.root / TABLE)).history()
        if each["operation"] == "WRITE"
    ]
    assert len(writes) == 1


@pytest.mark.parametrize("faster", [OTHER, DAY])
def test_a_table_that_somebody_makes_meanwhile_is_made_once(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, faster: str
) -> None:
    """Another worker makes it, and writes, between our looking for it and our making it."""
    scored(store, DAY, range(5))
    scored(store, OTHER, [100], depot=pa.array(["north"]))
    makes = delta._made

    def late(*args: Any) -> Any:
        monkeypatch.setattr(delta, "_made", makes)
        publish_delta(store, faster, TABLE)
        return makes(*args)

    monkeypatch.setattr(delta, "_made", late)
    done = publish_delta(store, DAY, TABLE)
    assert done.repeated == (faster == DAY)
    table = DeltaTable(str(store.root / TABLE))
    done_in = [each["operation"] for each in table.history()]
    assert done_in.count("CREATE TABLE") == 1
    assert done_in.count("WRITE") == len({DAY, faster})
    assert rows(store, DAY) == expected(range(5))
    assert ("depot" in table.to_pyarrow_table().column_names) == (faster == OTHER)


def test_many_workers_with_scores_of_their_own_all_get_in(store: FolderStore) -> None:
    """Days that are scored at once write to one table, and none loses a row."""
    days = [f"scores/{day}" for day in range(6)]
    for at, day in enumerate(days):
        scored(store, day, range(at * 10, at * 10 + 7))
    _together([lambda day=day: publish_delta(store, day, TABLE) for day in days])
    assert rows(store) == expected([at * 10 + row for at in range(6) for row in range(7)])


def test_workers_that_bring_new_columns_all_get_in(store: FolderStore) -> None:
    """A new column is a change of the whole table, and so a conflict for everybody else."""
    days = [f"scores/{day}" for day in range(4)]
    for at, day in enumerate(days):
        scored(store, day, [at], **{f"only_{at}": pa.array([at])})
    _together([lambda day=day: publish_delta(store, day, TABLE) for day in days])
    found = DeltaTable(str(store.root / TABLE)).to_pyarrow_table().sort_by("id")
    assert [found[f"only_{at}"].to_pylist() for at in range(4)] == [
        [at if row == at else None for row in range(4)] for at in range(4)
    ]


def test_an_attempt_after_a_failed_commit_scores_nothing_again(server: Any, tmp_path: Path) -> None:
    """The scores and their manifest are there: the step's retry asks no model, and commits."""
    platform = embedded(tmp_path, registry=False)
    with platform.store.writing("day.parquet") as path:
        pq.write_table(pa.table({"id": [1, 2], "x": [1.0, 2.0]}), path)
    foreign = tmp_path / "store" / "tables" / "t"
    write_deltalake(str(foreign), pa.table({"id": [1]}))
    step = BatchInference(
        model=server.address, data="day.parquet", output_key="out", key=("id",), delta="tables/t"
    )

    def attempt(number: int) -> Any:
        who = Actor(id="ana", method="python")
        identity = RunIdentity(workflow="w", run="r", task="t", attempt=number, actor=who)
        return run_step(step, identity, platform)

    with pytest.raises(ContractBroken, match="partitioned by nothing"):
        attempt(1)
    shutil.rmtree(foreign)
    done = attempt(2)
    assert (done.value["reused"], len(server.asked)) == (1, 1)
    assert DeltaTable(done.value["delta"]).to_pyarrow_table().sort_by("id")[
        "score"
    ].to_pylist() == [
        2.0,
        4.0,
    ]


def test_what_the_commit_says_names_the_manifest(store: FolderStore) -> None:
    """The table's history leads back to the scoring."""
    scored(store, DAY, range(3))
    publish_delta(store, DAY, TABLE)
    (last,) = DeltaTable(str(store.root / TABLE)).history(1)
    assert last["backbeat.output"] == DAY
    assert last["backbeat.manifest"].startswith("sha256:")


@pytest.mark.parametrize(
    "table", ["s3://key:hidden@bucket/t", "s3://bucket/t?secret=hidden", "abfss://a:hidden@b/t"]
)
def test_an_address_with_a_secret_is_refused_and_not_shown(store: FolderStore, table: str) -> None:
    """By the function; the step is not even built, so that nothing is recorded."""
    scored(store, DAY, [1])
    with pytest.raises(InvalidStep) as refused:
        publish_delta(store, DAY, table)
    assert "hidden" not in str(refused.value)
    fields = {"model": "models:/m/1", "data": "d", "output_key": "o", "key": ["id"]}
    with pytest.raises(InvalidStep, match="credentials"):
        step_from_fields(BatchInference, {**fields, "delta": table})
    assert step_from_fields(BatchInference, {**fields, "delta": "abfss://c@account.dfs/t"})


def test_without_deltalake_it_is_said_before_the_scoring(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what to install."""
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(UnmetNeed, match="deltalake is not installed") as unmet:
        publish_delta(store, DAY, TABLE)
    assert "backbeat[delta]" in unmet.value.hint


def test_a_path_and_a_uri_are_tables_too(store: FolderStore, tmp_path: Path) -> None:
    """Where a table is need not be the store."""
    scored(store, DAY, range(3))
    for where in (str(tmp_path / "a b"), (tmp_path / "c d").as_uri()):
        publish_delta(store, DAY, where)
    for name in ("a b", "c d"):
        assert len(DeltaTable(str(tmp_path / name)).to_pyarrow_table()) == 3
