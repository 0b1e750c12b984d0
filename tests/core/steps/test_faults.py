"""Faults of the world, needs that are not met: a clear error, and nothing half-written."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parcels import (
    CHAMPION,
    MODEL,
    Season,
    attempt,
    comparison,
    drift,
    failure,
    files,
    nothing_changes,
    profile,
    promotion,
    quality,
    scoring,
    step,
    training,
)

from backbeat import Done, Platform, Step, embedded, run_step
from backbeat.errors import (
    InvalidData,
    RetryableError,
    StorageFull,
    UnmetNeed,
    Unreachable,
)
from backbeat.ports import Need
from backbeat.registry import MlflowRegistry
from backbeat.step import StepContext

NEEDS_MLFLOW = {
    "profile": profile("landing/parcels/2024-05-04.parquet", model=f"models:/{MODEL}/1"),
    "drift": drift("landing/parcels/2024-05-04.parquet"),
    "training": training("landing/parcels/2024-05-01.parquet"),
    "candidate": step("model.candidate", model=MODEL, source="a" * 32),
    "comparison": comparison(),
    "scoring": scoring("landing/parcels/2024-05-04.parquet"),
    "promotion": promotion(),
}


@pytest.mark.parametrize("task", NEEDS_MLFLOW)
def test_mlflow_is_unreachable(task: str, shared: Season) -> None:
    """A registry that is away is a passing fault, told without the URI's password."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound but not listening: nobody answers there
        port = reserved.getsockname()[1]
        away = embedded(shared.folder, tracking_uri=f"http://ana:hunter2@127.0.0.1:{port}")
        away.sinks = {}
        with nothing_changes(shared), pytest.raises(Unreachable) as caught:
            run_step(NEEDS_MLFLOW[task], attempt(run="away"), away)

    error = caught.value
    assert error.retryable
    assert error.message.startswith(f"MLflow at http://127.0.0.1:{port} did not answer: ")
    assert (
        error.hint == "check that the MLflow server or database runs and that its address is right"
    )
    recorded = away.ledger.runs(state="failed")[0].outcome
    assert recorded is not None
    assert recorded["error"] == "Unreachable"
    for text in (str(error), repr(error.__context__), repr(error.__cause__), str(recorded)):
        assert "hunter2" not in text


@pytest.fixture
def disk(small_disk: Callable[[str], Path]) -> Path:
    """A disk of one megabyte."""
    return small_disk("1m")


@pytest.fixture
def crowded(season: Season, disk: Path) -> Platform:
    """A platform whose store lies on a small disk, and the rest elsewhere."""
    profiled = season.folder / "store/profiles/parcels/1.json"
    (disk / "store/profiles/parcels").mkdir(parents=True)
    (disk / "store/profiles/parcels/1.json").write_bytes(profiled.read_bytes())
    platform = embedded(
        disk,
        ledger=season.folder / "ledger.db",
        tracking_uri=f"sqlite:///{season.folder}/mlflow.db",
    )
    platform.sinks = {}
    return platform


def writers(season: Season) -> dict[str, Step]:
    """Steps that write to the store, on data that lies outside of it."""
    data = str(season.folder / "store/landing/parcels/2024-05-04.parquet")
    return {
        "profile": profile(data, columns=["hour"]),
        "quality": quality(data),
        "drift": drift(data, columns=["hour"]),
        "scoring": scoring(data, shard_rows=1000),
    }


@pytest.mark.parametrize("task", ["profile", "quality", "drift", "scoring"])
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_the_stores_disk(
    fault: str,
    task: str,
    crowded: Platform,
    season: Season,
    disk: Path,
    fill: Callable[[Path], Path],
) -> None:
    """Without room, nothing appears in the store; with room again, the same attempt goes well."""
    if fault == "full":
        filler = fill(disk)
    else:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    before = files(disk)

    with nothing_changes(season), pytest.raises(StorageFull) as caught:
        run_step(writers(season)[task], attempt(), crowded)

    reason = {"full": "No space left on device", "read-only": "Read-only file system"}[fault]
    assert caught.value.retryable
    assert caught.value.message.startswith("cannot write '")
    assert caught.value.message.endswith(reason)
    assert caught.value.hint == ("free space on, or make writable, the disk that holds the store")
    assert files(disk) == before
    if fault == "full":
        filler.unlink()
    else:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert isinstance(run_step(writers(season)[task], attempt(attempt=2), crowded), Done)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_the_ledgers_disk(
    fault: str, season: Season, disk: Path, fill: Callable[[Path], Path]
) -> None:
    """A step that cannot be recorded is not performed."""
    platform = embedded(season.folder, ledger=disk / "ledger.db")
    platform.sinks = {}
    platform.ledger.close()  # type: ignore[attr-defined]
    if fault == "full":
        fill(disk)
    else:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

    with nothing_changes(season), pytest.raises(StorageFull) as caught:
        run_step(profile("landing/parcels/2024-05-04.parquet"), attempt(), platform)

    assert caught.value.retryable
    assert caught.value.message.startswith("the ledger ")
    assert "writable" in caught.value.hint


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_the_registrys_disk(
    fault: str, season: Season, disk: Path, fill: Callable[[Path], Path]
) -> None:
    """A model without room for its files is no finished run; with room, one run is made."""
    if fault == "full":
        fill(disk)
    else:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    season.platform.registry = MlflowRegistry(
        tracking_uri=f"sqlite:///{season.folder}/mlflow.db", artifact_root=str(disk / "art")
    )
    task = training("landing/parcels/2024-05-01.parquet", experiment="crowded")

    def finished() -> int:
        return [state for _, state in season.stores()["mlflow"]["runs"]].count("FINISHED")

    before = finished()
    with pytest.raises(StorageFull) as caught:
        season.run(task)

    assert caught.value.retryable
    assert "cannot be read or written" in caught.value.message
    assert caught.value.hint == "check free space and permissions of the artifact folder"
    assert finished() == before
    assert not any(part.is_file() for part in disk.rglob("MLmodel") if fault != "full")

    if fault == "full":
        (disk / "filler").unlink()
    else:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    outcome = season.run(task, attempt=2)
    assert isinstance(outcome, Done)
    assert outcome.value["reused"] is False
    assert finished() == before + 1


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_the_registrys_databases_disk(
    fault: str,
    season: Season,
    small_disk: Callable[[str], Path],
    fill: Callable[[Path], Path],
) -> None:
    """A version that cannot be written to MLflow's database does not exist there afterwards."""
    disk = small_disk("2m")
    shutil.copy(season.folder / "mlflow.db", disk / "mlflow.db")
    platform = embedded(season.folder, tracking_uri=f"sqlite:///{disk}/mlflow.db")
    platform.sinks = {}
    before = (disk / "mlflow.db").read_bytes()
    if fault == "full":
        platform.registry.ping()
        fill(disk)
    else:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    run_id = season.stores()["mlflow"]["runs"][0][0]
    task = step("model.candidate", model="letters" * 1000, source=run_id)

    with nothing_changes(season), pytest.raises(RetryableError) as caught:
        run_step(task, attempt(), platform)

    assert type(caught.value) is {"full": StorageFull, "read-only": Unreachable}[fault]
    assert {"full": "disk is full", "read-only": "cannot be opened"}[fault] in caught.value.message
    assert caught.value.hint
    assert (disk / "mlflow.db").read_bytes() == before


NEEDS: dict[str, tuple[dict[str, Any], Step, str, str]] = {
    "a registry": (
        {"registry": False},
        scoring("landing/none.parquet"),
        "inference.batch/v1 needs a registry (rung 0)",
        "set the tracking URI of an MLflow registry",
    ),
    "a ledger to ask people": (
        {"ledger": False},
        step("signoff.request", subject="May it?"),
        "signoff.request/v1 needs a ledger (rung 1)",
        "give the platform a ledger file, or use a step that works without one",
    ),
    "a ledger to promote": (
        {"ledger": False},
        promotion(),
        "model.promote/v1 needs a ledger (rung 1)",
        "give the platform a ledger file, or use a step that works without one",
    ),
    "a registry for a model's profile": (
        {"registry": False},
        drift("landing/none.parquet"),
        "drift.check/v1 needs a registry (rung 0)",
        "set the tracking URI of an MLflow registry",
    ),
}


@pytest.mark.parametrize("need", NEEDS)
def test_a_need_that_is_not_met(need: str, tmp_path: Path) -> None:
    """The missing part and its rung are named before any work: not even a folder is made."""
    settings, task, message, hint = NEEDS[need]
    platform = embedded(tmp_path / "platform", **settings)

    with pytest.raises(UnmetNeed) as caught:
        run_step(task, attempt(), platform)

    assert (
        caught.value.message == f"{message}, and the platform in {tmp_path / 'platform'} has none"
    )
    assert caught.value.hint == hint
    assert not (tmp_path / "platform").exists()


def test_a_need_for_a_store(tmp_path: Path) -> None:
    """A platform without a folder cannot check data, and says so."""
    from backbeat.ledger.unrecorded import Unrecorded
    from backbeat.policy import BuiltinPolicy

    platform = Platform(policy=BuiltinPolicy, unrecorded=Unrecorded)
    with pytest.raises(UnmetNeed) as caught:
        run_step(quality("landing/none.parquet"), attempt(), platform)

    assert (
        caught.value.message == "quality.check/v1 needs a store (rung 0), and a platform has none"
    )
    assert caught.value.hint == "give the platform a folder"


class Undeclared(Step):
    """A step that reaches for what it did not declare."""

    kind = "test.undeclared/v1"
    needs = frozenset({Need.STORE})

    def perform(self, ctx: StepContext) -> Done:
        """Reach for the registry."""
        return Done(value={"uri": ctx.registry.resolve(CHAMPION).uri})


def test_an_undeclared_need(shared: Season) -> None:
    """A step gets the ports that it declared and no others, though the platform has them."""
    error = failure(shared, Undeclared(), UnmetNeed)

    assert error.message == (
        "test.undeclared/v1 uses a registry that it did not declare in `needs`"
    )
    assert error.hint == "add Need.REGISTRY to Undeclared.needs"


def test_a_failure_is_on_record(season: Season) -> None:
    """What failed is recorded with its error's own words, and can be asked for."""
    with pytest.raises(InvalidData) as caught:
        season.run(quality("landing/gone.parquet"), run="lost")

    record = season.platform.ledger.runs(state="failed")[0]
    assert record.kind == "quality.check/v1"
    assert record.identity["run"] == "lost"
    assert record.outcome == caught.value.as_json()
    assert season.platform.ledger.check()["audit_broken"] == []
