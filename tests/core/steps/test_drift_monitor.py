"""A drift check with a monitor: judged by its past, and a part of the past of later ones."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pyarrow as pa
import pytest
from parcels import Season, drift, profile, schedule, step

from backbeat import Actor, Done
from backbeat.drift import Profile
from backbeat.drift.history import Monitor
from backbeat.errors import InvalidData, InvalidStep, NotFound

MONITOR = "monitors/parcels"
REFERENCE = f"{MONITOR}/reference.json"
RULES = {"min_history": 5, "effect_floor": 0.2}
DAYS = [date(2024, 6, 1) + timedelta(days=number) for number in range(9)]
BEYOND = {"severity", "alarms", "history_batches", "cause", "batch"}


def land(season: Season, day: date, *, near: bool = False) -> str:
    """A day's parcels, which on some days travel much less far."""
    table = schedule(day)
    if near:
        place = table.column_names.index("distance_km")
        short = pa.array(table["distance_km"].to_numpy() ** 0.8)
        table = table.set_column(place, "distance_km", short)
    return season.land(f"landing/parcels/{day}.parquet", table)


def check(season: Season, day: date, **fields: object) -> Done:
    """The check of a day with the monitor."""
    known = {"reference": REFERENCE, "monitor": MONITOR, "partition": str(day), "rules": RULES}
    data = f"landing/parcels/{day}.parquet"
    outcome = season.run(drift(data, **{**known, **fields}), task=f"check-{day}")
    assert isinstance(outcome, Done)
    return outcome


@pytest.fixture
def watched(blank: Season) -> Season:
    """A reference, and eight days of which seven have been checked; the ninth is near."""
    land(blank, DAYS[0] - timedelta(days=1))
    first = {"uri": "landing/parcels/2024-05-31.parquet"}
    blank.run(profile(first, output_key=REFERENCE, partition="2024-05-31"))
    for day in DAYS[:7]:
        land(blank, day)
        check(blank, day, report="")
    land(blank, DAYS[7])
    land(blank, DAYS[8], near=True)
    return blank


def test_it_becomes_calibrated_and_says_so(watched: Season) -> None:
    """After enough ordinary batches the limits are the columns' own."""
    value = check(watched, DAYS[7]).value

    assert set(value) >= BEYOND
    assert (value["verdict"], value["calibrated"], value["history_batches"]) == ("stable", True, 7)
    assert (value["severity"], value["alarms"], value["cause"]) == ("none", [], "")
    assert watched.platform.store.exists(value["batch"])
    assert watched.platform.store.exists(value["report"])


def test_drift_has_a_cause_that_is_recognised(watched: Season) -> None:
    """The same cause on another day has the same digest; another one has another."""
    first = check(watched, DAYS[8]).value
    again = DAYS[8] + timedelta(days=1)
    land(watched, again, near=True)
    second = check(watched, again).value

    assert (first["verdict"], first["alarms"]) == ("drifted", ["distance_km"])
    assert first["severity"] != "none"
    assert first["cause"] == second["cause"] != ""
    assert second["history_batches"] == first["history_batches"]  # a drifted day is not ordinary


def test_a_retry_and_a_clear_give_the_same_decision(watched: Season) -> None:
    """A batch's own past file is not its history: neither is any later batch."""
    first = check(watched, DAYS[7])
    key = first.value["batch"].removesuffix(".json") + ".decision.json"
    decided = watched.platform.store.read(key)
    check(watched, DAYS[8])
    step_ = drift(
        f"landing/parcels/{DAYS[7]}.parquet",
        reference=REFERENCE,
        monitor=MONITOR,
        partition=str(DAYS[7]),
        rules=RULES,
    )
    cleared = watched.run(step_, run="night-2", task=f"check-{DAYS[7]}")
    retried = watched.run(step_, attempt=2, task=f"check-{DAYS[7]}")

    assert isinstance(cleared, Done)
    assert cleared.evidence["decision"] == first.evidence["decision"]
    assert retried == first
    assert watched.platform.store.read(key) == decided


def test_a_muted_column_is_no_alarm(watched: Season) -> None:
    """It is among the moved columns, and not among those that people are told of."""
    monitor = Monitor(watched.platform.store, MONITOR)
    monitor.mute("distance_km", until=DAYS[8], reason="fair", by=Actor(id="ana", method="cli"))
    outcome = check(watched, DAYS[8])
    value = outcome.value

    assert "distance\\_km moved and is muted; no drift in 3 of 4" in outcome.evidence["markdown"]
    assert (value["verdict"], value["columns"]) == ("stable", ["distance_km"])
    assert (value["alarms"], value["cause"]) == ([], "")


def test_the_reference_is_pinned_in_the_monitor(watched: Season) -> None:
    """A check against another profile takes the monitor along: its folder stays whole."""
    watched.run(profile({"uri": f"landing/parcels/{DAYS[0]}.parquet"}, output_key="other.json"))
    value = check(watched, DAYS[7], reference="other.json").value
    store = watched.platform.store

    assert (value["calibrated"], value["history_batches"]) == (False, 0)
    assert store.read(REFERENCE) == store.read("other.json")


def test_a_reference_that_holds_the_batch_is_refused(watched: Season) -> None:
    """The day that the reference was made of is no batch to judge."""
    before = watched.stores()["store"]
    with pytest.raises(InvalidData, match="contains the batch 2024-05-31"):
        check(watched, DAYS[0] - timedelta(days=1))
    assert watched.stores()["store"] == before


def test_a_profile_step_adds_to_the_history(watched: Season) -> None:
    """BuildProfile with a monitor counts on the monitor's edges and keeps the batch."""
    words = {"output_key": "day.json", "columns": None, "partition": str(DAYS[7])}
    data = {"uri": f"landing/parcels/{DAYS[7]}.parquet"}
    outcome = watched.run(profile(data, monitor=MONITOR, **words), task="count")

    assert isinstance(outcome, Done)
    store = watched.platform.store
    assert store.read(outcome.value["batch"]) == store.read("day.json")
    counted = Profile.from_bytes(store.read("day.json"))
    assert counted.edges_digest == Profile.from_bytes(store.read(REFERENCE)).edges_digest
    assert check(watched, DAYS[8]).value["history_batches"] == 8
    with pytest.raises(NotFound):
        watched.run(profile(data, monitor="monitors/none", **words), task="nowhere")


def test_derived_columns_are_counted_again(blank: Season) -> None:
    """What the reference watches of text, segments and conditions, a check watches too."""
    land(blank, DAYS[0])
    land(blank, DAYS[1])
    fields = {
        "columns": None,
        "output_key": REFERENCE,
        "kinds": {"depot": "text"},
        "given": {"weight_kg": ["distance_km"]},
        "by": ["hour"],
    }
    blank.run(profile({"uri": f"landing/parcels/{DAYS[0]}.parquet"}, **fields))
    found = check(blank, DAYS[1])
    names = {column["name"] for column in found.evidence["decision"]["columns"]}

    assert {"depot:length", "weight_kg given distance_km", "hour"} <= names
    assert found.evidence["decision"]["segments"]
    kept = json.loads(blank.platform.store.read(found.value["batch"]))
    assert set(kept["columns"]) == names


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"monitor": "m"}, "`monitor` needs `partition`"),
        ({"rules": {"q": 0.01}, "q": 0.01}, "write q into `rules`"),
        ({"monitor": "m", "partition": "d", "power": 0.9}, "write power into `rules`"),
        ({"rules": {"against": "rolling"}}, "rules against rolling batches need a `monitor`"),
        ({"rules": {"effekt": 1}}, "rules.effekt"),
    ],
)
def test_fields_that_contradict_are_refused(fields: dict[str, object], says: str) -> None:
    """One place for thresholds, and no history without a name."""
    with pytest.raises(InvalidStep, match=says):
        drift("a.parquet", reference="p.json", **fields)


def test_new_fields_change_no_old_digest() -> None:
    """A step that uses none of them is written as before."""
    old = drift("a.parquet", reference="p.json")
    assert old.to_json() == {
        "kind": "drift.check/v1",
        "current": {"uri": "a.parquet"},
        "reference": "p.json",
    }
    built = step("drift.profile", data="a.parquet", output_key="p.json")
    assert set(built.to_json()) == {"kind", "data", "output_key"}
