"""The example DAGs run, in this process, on the real data of the flights."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backbeat import Actor, Platform, embedded
from backbeat.data import FolderStore
from backbeat.errors import BackbeatError
from backbeat.signoff import requests, vote

pytestmark = [pytest.mark.usefixtures("airflow_database"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A platform's folder in which the season's first night has landed."""
    from flights.landing import land_night
    from flights.season import SEASON

    folder = tmp_path_factory.mktemp("landed")
    land_night(FolderStore(folder / "store"), SEASON[0])
    return folder


@pytest.fixture(scope="module")
def night() -> datetime:
    from flights.season import SEASON

    return datetime.combine(SEASON[0].day, datetime.min.time(), UTC)


def _connect(patch: pytest.MonkeyPatch, name: str, **extra: Any) -> None:
    value = json.dumps({"conn_type": "backbeat", "extra": extra})
    patch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)


@contextmanager
def _people(platform: Platform, *names: str) -> Iterator[None]:
    """People who approve whatever is open, for the length of a block."""
    gone = threading.Event()

    def look() -> None:
        while not gone.wait(0.1):
            for state in requests(platform.ledger, state="open"):
                for name in names:
                    try:
                        vote(
                            platform.ledger,
                            state.request.request_id,
                            choice="approve",
                            actor=Actor(id=name, method="python"),
                            evidence_digest=state.request.evidence_digest,
                        )
                    except BackbeatError:
                        break

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        gone.set()
        thread.join()


def _states(run: Any) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def test_the_first_night_ends_with_a_champion(
    landed: Path, night: datetime, monkeypatch: pytest.MonkeyPatch, bag: Any
) -> None:
    """Checked, trained, compared, signed off by two, promoted, scored: every row once."""
    from backbeat.inference import read_scores
    from flights import settings

    _connect(monkeypatch, "backbeat_default", folder=str(landed))
    platform = embedded(landed)
    with _people(platform, *settings.REVIEWERS[:2]):
        run = bag.dags["nightly_retraining"].test(logical_date=night)
    assert set(_states(run).values()) == {"success"}, _states(run)
    assert platform.registry.alias(settings.MODEL, "champion") == "1"
    tomorrow = night.date() + timedelta(days=1)
    scores = read_scores(platform.store, f"scores/{settings.MODEL}/{tomorrow}")
    assert len(scores) == len(scores[settings.KEY].unique()) > 500
    by_kind = {record.kind: record for record in platform.ledger.runs()}
    assert {record.state for record in by_kind.values()} == {"done"}
    asked = by_kind["signoff.request/v1"].step["evidence"]
    assert asked == by_kind["model.compare/v1"].outcome["value"]
    promoted = by_kind["model.promote/v1"].outcome["value"]
    assert promoted["by"] == list(settings.REVIEWERS[:2])


def test_broken_data_stops_the_night(
    landed: Path, night: datetime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bag: Any
) -> None:
    """A column in another unit: quality says no, and nothing after it runs, scoring included."""
    import shutil

    from flights.faults import MILES_TO_KM
    from flights.landing import land_night
    from flights.season import Night

    folder = tmp_path / "platform"
    shutil.copytree(landed / "store" / "landing", folder / "store" / "landing")
    land_night(FolderStore(folder / "store"), Night(night.date(), "e", "", MILES_TO_KM))
    _connect(monkeypatch, "backbeat_default", folder=str(folder))
    run = bag.dags["nightly_retraining"].test(logical_date=night)
    states = _states(run)
    assert states.pop("quality") == "failed"
    assert set(states.values()) == {"upstream_failed"}
    platform = embedded(folder)
    assert [record.kind for record in platform.ledger.runs()] == ["quality.check/v1"]
    assert list(platform.store.keys("scores/")) == []


def test_rung_0_needs_a_folder_and_nothing_else(
    landed: Path, night: datetime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bag: Any
) -> None:
    """`drift_only` profiles and gates without a ledger or a registry appearing."""
    import shutil

    folder = tmp_path / "platform"
    shutil.copytree(landed / "store" / "landing", folder / "store" / "landing")
    _connect(monkeypatch, "drift_only", folder=str(folder), ledger="none", tracking_uri="none")
    run = bag.dags["drift_only"].test(logical_date=night)
    assert set(_states(run).values()) == {"success"}
    assert sorted(path.name for path in folder.iterdir()) == ["store"]
    assert (folder / "store" / "profiles" / f"{night.date()}.json").exists()


def test_two_people_open_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bag: Any
) -> None:
    """Any task can stand behind a sign-off; it sees who approved."""
    _connect(monkeypatch, "backbeat_default", folder=str(tmp_path), tracking_uri="none")
    platform = embedded(tmp_path)
    with _people(platform, "ada", "grace"):
        run = bag.dags["two_person_signoff"].test(run_conf={"table": "bookings_2011"})
    assert set(_states(run).values()) == {"success"}
    (state,) = requests(platform.ledger, state="approved")
    assert state.request.subject == "Drop the table bookings_2011"
    dropped = next(ti for ti in run.get_task_instances() if ti.task_id == "drop")
    assert dropped.xcom_pull(task_ids="drop", key="return_value") == (
        "bookings_2011 was dropped, approved by ada and grace"
    )


def test_a_team_keeps_what_it_has(
    landed: Path, night: datetime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bag: Any
) -> None:
    """Their training task, their MLflow with its pickles and their suite, gated and promoted."""
    import mlflow

    from flights import settings

    tracking = f"sqlite:///{tmp_path / 'their_mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(tracking)
    _connect(
        monkeypatch,
        "adopt_existing",
        folder=str(tmp_path / "platform"),
        tracking_uri=tracking,
        allow_pickle=True,
    )
    (tmp_path / "platform").mkdir()
    (tmp_path / "platform" / "store").symlink_to(landed / "store")
    platform = embedded(tmp_path / "platform", tracking_uri=tracking, allow_pickle=True)
    with _people(platform, *settings.REVIEWERS[:2]):
        run = bag.dags["adopt_existing"].test(
            logical_date=night, run_conf={"landing": str(landed / "store")}
        )
    assert set(_states(run).values()) == {"success"}, _states(run)
    assert platform.registry.alias("punctuality", "champion") == "1"
    assert platform.registry.resolve("models:/punctuality/1").tags["team"] == "punctuality"
