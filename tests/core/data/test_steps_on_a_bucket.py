"""What writes to a store works on a bucket as it does in a folder, crashes included."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backbeat import Actor, Dataset, Done, Platform, RunIdentity, embedded, run_step
from backbeat.data import FolderStore, open_dataset, open_store, references
from backbeat.drift import Profile
from backbeat.inference import read_scores, score
from backbeat.lineage import FileSink
from backbeat.ports import Message
from backbeat.steps import BuildProfile, DriftCheck, QualityCheck

Make = Callable[..., Any]
SCORING = """
import os, signal, sys
from backbeat import Dataset
from backbeat.data import open_dataset, open_store, references
from backbeat.inference import score

store = open_store(sys.argv[1])

class Doomed:
    calls = 0
    def predict(self, frame):
        self.calls += 1
        if self.calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return frame["x"].to_numpy() * 2

done = score(
    open_dataset(store, references(store, Dataset(uri="landing"))),
    input_digest="sha256:input", model=Doomed(), model_version="models:/m/1", store=store,
    output="scores/day", key_columns=["id"], features=["x"], shard_rows=100,
    partition=None, progress=lambda done, total: None, ensure_current=lambda: None,
)
print(done.reused, done.rows, done.digest)
"""


def _land(store: Any, shift: float = 0.0) -> None:
    x = np.random.default_rng(3).normal(size=1000) + shift
    table = pa.table({"id": [f"r{number:04}" for number in range(1000)], "x": x})
    for part in range(2):
        with store.writing(f"landing/{part}.parquet") as path:
            pq.write_table(table.slice(part * 500, 500), path)


def test_scores_survive_a_kill_on_a_bucket(s3: Any, bucket: str, start_python: Make) -> None:
    """A worker killed at its sixth shard costs that shard; the result is as if it had lived."""
    store = open_store(f"{bucket}/p")
    _land(store)
    killed = start_python(SCORING, f"{bucket}/p", 6)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not store.exists("scores/day/manifest.json")
    again, errors = start_python(SCORING, f"{bucket}/p", 0).communicate(timeout=60)
    reused, rows, digest = again.split()
    assert (reused, rows) == ("5", "1000"), errors
    undisturbed = open_store(s3.bucket(f"{bucket[5:]}-2") + "/p")
    _land(undisturbed)
    whole, _ = start_python(SCORING, f"{bucket}-2/p", 0).communicate(timeout=60)
    assert whole.split() == ["0", "1000", digest]
    assert read_scores(store, "scores/day").equals(read_scores(undisturbed, "scores/day"))


def test_a_season_s_steps_leave_the_same_in_a_bucket_as_in_a_folder(
    bucket: str, tmp_path: Path
) -> None:
    """Profile, drift report, quality report and lineage are written to a bucket alone."""
    said = {}
    for name, address in {"folder": None, "bucket": f"{bucket}/p"}.items():
        platform = embedded(tmp_path / name, store=address, ledger=False, registry=False)
        _land(platform.store)
        said[name] = [outcome.value for outcome in _steps(platform)]
        keys = list(platform.store.keys(""))
        assert [key.split("/")[0] for key in keys if key.startswith("lineage/")]
        assert Profile.from_bytes(platform.store.read("p.json")).rows == 1000
        assert platform.store.read(said[name][1]["report"]).startswith(b"<!doctype html>")
        assert platform.store.read(said[name][2]["report"]).startswith(b"<!doctype html>")
    assert said["bucket"][0] == said["folder"][0]
    assert said["bucket"][1]["verdict"] == said["folder"][1]["verdict"] == "stable"
    assert not (tmp_path / "bucket").exists()


def _steps(platform: Platform) -> list[Done]:
    run = RunIdentity(workflow="w", run="r", task="t", actor=Actor(id="ana", method="python"))
    suite = {
        "name": "rows",
        "expectations": [
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}}
        ],
    }
    steps = (
        BuildProfile(data="landing", output_key="p.json", columns=("x",)),
        DriftCheck(current="landing", reference="p.json"),
        QualityCheck.model_validate({"data": "landing", "suite": suite}),
    )
    outcomes = [run_step(step, run, platform) for step in steps]
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Done)]


def test_lineage_delivered_twice_is_one_file(bucket: str) -> None:
    """The sink writes a message under its id, however often it comes."""
    store = open_store(bucket)
    for _ in range(2):
        FileSink(store, "lineage").deliver(Message("a:1", "openlineage", {"n": 1}))
    assert list(store.keys("")) == ["lineage/a-1.json"]
    assert json.loads(store.read("lineage/a-1.json")) == {"n": 1}


@pytest.mark.parametrize("home", ["folder", "bucket"])
def test_data_of_another_bucket_is_scored_where_it_lies(
    s3: Any, bucket: str, tmp_path: Path, home: str
) -> None:
    """A dataset by its URI is read from its own bucket; the scores go to the store."""
    theirs = open_store(s3.bucket(f"{bucket[5:]}-theirs"))
    _land(theirs)
    before = s3.objects(f"{bucket[5:]}-theirs")
    store = FolderStore(tmp_path) if home == "folder" else open_store(f"{bucket}/p")
    refs = references(store, Dataset(uri=f"{bucket}-theirs/landing"))
    assert [ref.uri for ref in refs] == [f"{bucket}-theirs/landing/{n}.parquet" for n in range(2)]

    class Double:
        def predict(self, frame: Any) -> Any:
            return frame["x"].to_numpy() * 2

    done = score(
        open_dataset(store, refs),
        input_digest="sha256:input",
        model=Double(),
        model_version="models:/m/1",
        store=store,
        output="scores",
        key_columns=["id"],
        features=["x"],
        partition=None,
        progress=lambda done, total: None,
        ensure_current=lambda: None,
    )
    assert len(read_scores(store, "scores")) == done.rows == 1000
    assert s3.objects(f"{bucket[5:]}-theirs") == before
