"""What every release left behind is read by this one, and its workers go on beside ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from write_release import ANA, Doubling, identity, scored, table

from backbeat import Blocked, Dataset, Done, Platform, embedded, resume_step, run_step
from backbeat.drift import Profile, build_profile
from backbeat.inference import read_scores
from backbeat.ledger.migrations import SCHEMA_VERSION
from backbeat.quality import Suite
from backbeat.runner import tick
from backbeat.signoff import requests, vote
from backbeat.steps import BuildProfile, DriftCheck, QualityCheck

HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in HERE.iterdir() if (path / "ledger.db").exists())
# a worker of an older release, as its own wheel runs it: claims, performs, finishes
WORKER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import backbeat
assert backbeat.__file__.startswith(sys.argv[1]), backbeat.__file__
from backbeat import Actor, Dataset, RunIdentity, embedded, run_step
from backbeat.steps import DriftCheck
platform = embedded(sys.argv[2], registry=False)
platform.sinks = {}
run = RunIdentity(workflow="nightly", run=sys.argv[3], task="drift",
                  actor=Actor(id="ana", method="python"))
step = DriftCheck(current=Dataset(uri="landing/2.parquet"), reference="profiles/1.json")
print(json.dumps(run_step(step, run, platform).value))
"""
# the same at a gate that says no
GATE_WORKER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import backbeat
assert backbeat.__file__.startswith(sys.argv[1]), backbeat.__file__
from backbeat import Actor, RunIdentity, embedded, run_step
from backbeat.kinds import step_from_json
platform = embedded(sys.argv[2], registry=False)
platform.sinks = {}
run = RunIdentity(workflow="nightly", run=sys.argv[3], task="quality", attempt=2,
                  actor=Actor(id="ana", method="python"))
outcome = run_step(step_from_json(json.loads(sys.argv[4])), run, platform)
[record] = platform.ledger.runs(limit=1)
print(json.dumps({"status": outcome.status, "key": record.key, "token": record.token}))
"""


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> Path:
    """A release's folder."""
    return HERE / str(request.param)


@pytest.fixture
def platform(release: Path, tmp_path: Path) -> Platform:
    """A copy of what the release wrote, opened by this version."""
    folder = tmp_path / "platform"
    (folder / "store").mkdir(parents=True)
    shutil.copy(release / "ledger.db", folder)
    shutil.copytree(release / "store", folder / "store", dirs_exist_ok=True)
    opened = embedded(folder, registry=False)
    opened.sinks = {}
    return opened


@pytest.fixture
def old_worker(release: Path, tmp_path: Path) -> Callable[[str], Any]:
    """Performs one step with the release's own wheel, on the very same platform."""
    (wheel,) = release.glob("backbeat-*.whl")

    def perform(run: str) -> Any:
        command = [sys.executable, "-c", WORKER, str(wheel), str(tmp_path / "platform"), run]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return perform


def test_there_is_a_release_to_read() -> None:
    """Nothing below is empty."""
    assert RELEASES


def test_the_ledger_is_brought_forward_whole(platform: Platform) -> None:
    """Every piece of work, request and audit entry is there, each hash intact."""
    found = platform.ledger.check()
    assert found["schema"] == SCHEMA_VERSION
    assert found["audit_broken"] == []
    assert found["audit_entries"] >= 10
    assert found["outbox"] >= 10
    states = {(run.identity["task"], run.state) for run in platform.ledger.runs()}
    assert states == {
        ("profile", "done"),
        ("drift", "done"),
        ("lineage", "done"),
        ("broken", "failed"),
        ("signoff-open", "waiting"),
        ("signoff-approved", "waiting"),
        ("killed", "claimed"),
    }
    assert {state.name for state in requests(platform.ledger)} == {"open", "approved"}


def test_it_gets_the_indexes_of_a_new_ledger(platform: Platform, tmp_path: Path) -> None:
    """A ledger that was brought forward looks its rows up as one that is made today."""
    fresh = embedded(tmp_path / "fresh", registry=False)

    def indexes(of: Platform) -> list[tuple[str, str]]:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        with of.ledger.database.read() as view:  # type: ignore[attr-defined]
            return sorted(tuple(row) for row in view.exec_driver_sql(query))

    assert indexes(platform) == indexes(fresh)


def test_recorded_work_is_replayed(platform: Platform) -> None:
    """A retry of what the release has finished gets its outcome, and performs nothing."""
    [before] = [run for run in platform.ledger.runs() if run.identity["task"] == "drift"]
    step = DriftCheck(current=Dataset(uri="landing/2.parquet"), reference="profiles/1.json")
    outcome = run_step(step, identity("drift", attempt=2), platform)
    assert isinstance(outcome, Done)
    assert outcome.value == before.outcome["value"]  # type: ignore[index]
    assert platform.ledger.run(before.key) == before


def test_a_parked_step_goes_on(platform: Platform) -> None:
    """Who asked under the release is answered under this one, and voting goes on."""
    by_name = {state.name: state.request for state in requests(platform.ledger)}
    approved = resume_step(by_name["approved"].request_id, platform)
    assert isinstance(approved, Done)
    assert approved.value["by"] == ["ben"]
    request = by_name["open"]
    vote(
        platform.ledger, request.request_id, choice="reject",
        actor=ANA.model_copy(update={"id": "ben"}), evidence_digest=request.evidence_digest,
    )  # fmt: skip
    assert isinstance(resume_step(request.request_id, platform), Blocked)


def test_what_a_killed_worker_left_is_taken_over(platform: Platform) -> None:
    """The claim of a worker that died under the release is taken over once its lease has ended."""
    step = BuildProfile(
        data=Dataset(uri="landing/1.parquet"), output_key="profiles/2.json", bins=20
    )
    assert isinstance(run_step(step, identity("killed", attempt=2), platform), Done)
    [record] = [run for run in platform.ledger.runs() if run.identity["task"] == "killed"]
    assert (record.state, record.token) == ("done", 2)


@pytest.mark.parametrize(("output", "reused"), [("scores/whole", 6), ("scores/cut", 2)])
def test_scored_shards_are_found(platform: Platform, output: str, reused: int) -> None:
    """What the release has scored is not scored again, finished or cut short by a crash."""
    done = scored(platform, output, Doubling())
    assert (done.reused, done.shards) == (reused, 6)
    found = read_scores(platform.store, output).sort_by("id")
    np.testing.assert_allclose(found["score"].to_numpy(), table(1)["x"].to_numpy() * 2.0)


def test_its_messages_leave(platform: Platform) -> None:
    """What waited in the release's outbox is delivered."""
    waiting = platform.ledger.check()["outbox"]
    sinks = embedded(platform.store.root.parent, registry=False).sinks  # type: ignore[attr-defined]
    platform.sinks = sinks
    assert tick(platform)["delivered"] == waiting
    assert len(list(platform.store.keys("lineage/"))) == waiting


def test_its_profile_is_read_as_a_reference(platform: Platform) -> None:
    """A profile of the release is compared with today's data, with the verdict of then."""
    step = DriftCheck(current=Dataset(uri="landing/2.parquet"), reference="profiles/1.json")
    [before] = [run for run in platform.ledger.runs() if run.identity["task"] == "drift"]
    outcome = run_step(step, identity("drift-again"), platform)
    assert isinstance(outcome, Done)
    assert outcome.value["verdict"] == before.outcome["value"]["verdict"]  # type: ignore[index]


def test_its_profile_takes_new_batches(release: Path) -> None:
    """A profile of the release is whole, and merges with what is counted on its edges today."""
    reference = Profile.from_bytes((release / "store" / "profiles" / "1.json").read_bytes())
    again = build_profile(release / "store" / "landing" / "1.parquet", edges_from=reference)
    assert again.edges_digest == reference.edges_digest
    for name, column in reference.columns.items():
        moments = {"mean", "m2", "zoned"}
        found = again.columns[name].model_dump(exclude=moments)
        assert found == column.model_dump(exclude=moments)
    assert reference.merge(again).rows == 2 * reference.rows
    assert Profile.from_bytes(reference.to_bytes()) == reference


def test_its_workers_go_on_beside_ours(
    platform: Platform, old_worker: Callable[[str], Any]
) -> None:
    """On this version's schema a worker of the release performs, and each replays the other's."""
    assert platform.ledger.check()["schema"] == SCHEMA_VERSION
    theirs = old_worker("run-theirs")
    step = DriftCheck(current=Dataset(uri="landing/2.parquet"), reference="profiles/1.json")

    def ours(run: str, attempt: int) -> Any:
        who = identity("drift", attempt=attempt).model_copy(update={"run": run})
        return run_step(step, who, platform).value  # type: ignore[union-attr]

    assert ours("run-theirs", 2) == theirs
    assert old_worker("run-ours") == ours("run-ours", 2)
    assert old_worker("run-theirs") == theirs
    begun = ours("run-new", 1)
    assert old_worker("run-new") == begun
    tokens = {run.identity["run"]: run.token for run in platform.ledger.runs(limit=3)}
    assert tokens == {"run-new": 1, "run-ours": 1, "run-theirs": 1}
    assert platform.ledger.check()["audit_broken"] == []


def test_its_workers_go_on_behind_a_gate_of_ours(
    platform: Platform, release: Path, tmp_path: Path
) -> None:
    """A gate that said no here and told its inputs is asked again by a worker of the release."""
    expected = {"type": "expect_column_values_to_be_null", "kwargs": {"column": "x"}}
    suite = Suite.model_validate({"name": "impossible", "expectations": [expected]})
    step = QualityCheck(data=Dataset(uri="landing/2.parquet"), suite=suite)
    who = identity("quality").model_copy(update={"run": "run-gate"})
    ours = run_step(step, who, platform)
    assert isinstance(ours, Blocked)
    assert ours.inputs
    [record] = platform.ledger.runs(limit=1)

    (wheel,) = release.glob("backbeat-*.whl")
    known = [str(wheel), str(tmp_path / "platform"), "run-gate", json.dumps(step.to_json())]
    command = [sys.executable, "-c", GATE_WORKER, *known]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"status": "blocked", "key": record.key, "token": 2}
    assert isinstance(run_step(step, who.model_copy(update={"attempt": 3}), platform), Blocked)
    assert platform.ledger.check()["audit_broken"] == []
