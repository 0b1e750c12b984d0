"""From drift to a retraining: once for a cause, whoever judges, retries or comes late."""

from __future__ import annotations

import threading
from datetime import date, timedelta

import pyarrow as pa
import pytest
from parcels import Season, drift, profile, schedule

from backbeat import Actor, Done
from backbeat.data import FolderStore
from backbeat.drift.action import PastVerdict, RetrainPolicy
from backbeat.drift.actions import ActionLog, decide_action
from backbeat.drift.history import Monitor
from backbeat.errors import InvalidData, InvalidStep

MONITOR = "monitors/parcels"
REFERENCE = f"{MONITOR}/reference.json"
RULES = {"effect_floor": 0.2}
FIRST = date(2024, 6, 1)


def land(season: Season, day: date, *, near: bool) -> None:
    """A day's parcels, which on some days travel much less far."""
    table = schedule(day)
    if near:
        place = table.column_names.index("distance_km")
        short = pa.array(table["distance_km"].to_numpy() ** 0.8)
        table = table.set_column(place, "distance_km", short)
    season.land(f"landing/parcels/{day}.parquet", table)


def check(
    season: Season, number: int, *, run: str = "night-1", near: bool = True, **fields: object
) -> Done:
    """The check of a night, counted from 0."""
    day = FIRST + timedelta(days=number)
    land(season, day, near=near)
    known = {
        "reference": REFERENCE,
        "monitor": MONITOR,
        "partition": str(day),
        "rules": RULES,
        "report": "",
        "retrain": {"cool_down_days": 0, "budget": 100},
    }
    step = drift(f"landing/parcels/{day}.parquet", **{**known, **fields})
    outcome = season.run(step, run=run, task=f"check-{day}")
    assert isinstance(outcome, Done)
    return outcome


@pytest.fixture
def watched(blank: Season) -> Season:
    """A monitor with a reference."""
    day = FIRST - timedelta(days=1)
    land(blank, day, near=False)
    first = {"uri": f"landing/parcels/{day}.parquet"}
    blank.run(profile(first, output_key=REFERENCE, partition=str(day)))
    return blank


def log(season: Season) -> list[str]:
    """The nights that have started a retraining."""
    monitor = Monitor(season.platform.store, MONITOR)
    return [entry.partition for entry in ActionLog(monitor).entries()]


def test_drift_for_ten_nights_starts_one_retraining(watched: Season) -> None:
    """The first night retrains, the others hold and say that the cause is known."""
    nights = [check(watched, number).value for number in range(10)]
    assert [night["action"] for night in nights] == ["retrain"] + ["hold"] * 9
    assert {night["because"] for night in nights[1:]} == {"same_cause"}
    assert "distance_km drifted" in nights[0]["action_reason"]
    assert log(watched) == ["2024-06-01"]


def test_a_retry_and_a_clear_get_the_same_answer(watched: Season) -> None:
    """Whoever performs the night again starts its retraining again, and no second one."""
    first = check(watched, 0)
    check(watched, 1)
    assert check(watched, 0) == first
    cleared = check(watched, 0, run="night-1-cleared")
    assert (cleared.value["action"], cleared.value["because"]) == ("retrain", "drift")
    assert log(watched) == ["2024-06-01"]


def test_a_repaired_night_starts_nothing_any_more(watched: Season) -> None:
    """What was drift because of bad data is judged by the data that is there now."""
    check(watched, 0)
    cleared = check(watched, 0, run="night-1-cleared", near=False)
    assert (cleared.value["action"], cleared.value["because"]) == ("hold", "quiet")


def test_an_old_night_that_is_judged_late_starts_nothing(watched: Season) -> None:
    """A backfill does not start what a later night has started."""
    check(watched, 5)
    late = check(watched, 2)
    assert (late.value["action"], late.value["because"]) == ("hold", "superseded")


def test_a_muted_column_starts_nothing(watched: Season) -> None:
    """What people are not told of is no cause either."""
    monitor = Monitor(watched.platform.store, MONITOR)
    monitor.mute("distance_km", until=FIRST, reason="fair", by=Actor(id="ana", method="cli"))
    found = check(watched, 0)
    assert (found.value["action"], found.value["because"]) == ("hold", "quiet")


def test_without_a_model_there_is_something_to_train(watched: Season) -> None:
    """The first night of all has no reference, and that is a reason to train."""
    found = check(watched, 0, reference="models:/parcels@champion")
    assert (found.value["verdict"], found.value["action"]) == ("no_reference", "retrain")
    assert found.value["because"] == "no_reference"
    assert log(watched) == []


def test_without_a_policy_nothing_is_said_or_kept(watched: Season) -> None:
    """The check is the one it was."""
    found = check(watched, 0, retrain=None)
    assert "action" not in found.value
    assert log(watched) == []


def test_a_damaged_log_is_refused(watched: Season) -> None:
    """Without one of its entries a retraining could be started twice."""
    check(watched, 0)
    watched.platform.store.write(f"{MONITOR}/actions/000001.json", b"{half")
    with pytest.raises(InvalidData, match=r"000001\.json is truncated"):
        check(watched, 1)


def test_a_policy_needs_a_monitor() -> None:
    """Nothing would be known of what was started."""
    with pytest.raises(InvalidStep, match="`retrain` needs a `monitor`"):
        drift("a.parquet", reference="p.json", retrain={})


def test_a_policy_changes_no_digest_of_a_step_without_one() -> None:
    """A step without it is written as before."""
    assert "retrain" not in drift("a.parquet", reference="p.json").to_json()


@pytest.mark.parametrize("attempt", range(5))
def test_workers_that_judge_at_once_start_one(blank: Season, attempt: int) -> None:
    """Eight nights of one cause, judged in the same moment, start one retraining."""
    store = blank.platform.store
    assert isinstance(store, FolderStore)
    begin = threading.Barrier(8)
    answers: list[str] = []

    def judge(number: int) -> None:
        batch = PastVerdict(
            partition=str(FIRST + timedelta(days=number)),
            verdict="drifted",
            severity="high",
            columns=("distance_km",),
        )
        monitor = Monitor(FolderStore(store.root), f"{MONITOR}/{attempt}")
        policy = RetrainPolicy(cool_down_days=0, budget=100)
        begin.wait()
        answers.append(decide_action(monitor, policy, batch, []).action)

    workers = [threading.Thread(target=judge, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(answers) == ["hold"] * 7 + ["retrain"]
