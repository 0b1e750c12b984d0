from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.drift import Decision, PastBatch, Profile, Rules, build_profile, decide
from backbeat.drift.reference import reference_of
from backbeat.errors import InvalidData

FIRST = dt.date(2013, 1, 7)  # a Monday
Make = Callable[[int], dict[str, Any]]


def day(number: int) -> str:
    return (FIRST + dt.timedelta(days=number)).isoformat()


class World:
    """A table that arrives day by day, and its history."""

    def __init__(self, make: Make, days: int = 60) -> None:
        self._make = make
        parts = [pa.table(make(at)) for at in range(days)]
        self.pinned = build_profile(ds.dataset(pa.concat_tables(parts)))
        self.days = days
        self.history = [
            PastBatch(partition=day(at), profile=self.count(part)) for at, part in enumerate(parts)
        ]

    def count(self, table: Any) -> Profile:
        return build_profile(ds.dataset(pa.table(table)), edges_from=self.pinned)

    def judge(self, table: Any = None, *, at: int | None = None, **options: Any) -> Decision:
        """Today's verdict; `table` instead of an ordinary day."""
        at = self.days if at is None else at
        rules = options.pop("rules", Rules())
        history = options.pop("history", self.history)
        reference, _ = reference_of(rules, self.pinned, history, day(at))
        current = self.count(self._make(at) if table is None else table)
        return decide(
            reference, current, rules=rules, history=history, partition=day(at), **options
        )


def swinging(at: int, size: int = 1_500, seed: int = 50) -> dict[str, Any]:
    """Delays whose late half depends on the day's weather, and a schedule that hardly moves."""
    rng = np.random.default_rng([seed, at])
    late = rng.random(size) < 0.45
    weather = rng.lognormal(2.5, 0.8)
    return {
        "delay": np.where(late, rng.exponential(weather, size), rng.normal(-4, 2, size)),
        "carrier": rng.choice(["UA", "B6", "DL", "AA"], size, p=[0.4, 0.3, 0.2, 0.1]),
        "distance": rng.lognormal(6.5, 0.7, size),
    }


@pytest.fixture(scope="module")
def world() -> World:
    return World(swinging)


def test_ordinary_swings_are_ordinary(world: World) -> None:
    """Days that swing as days do raise no alarm, although every p-value says that they differ."""
    found = [world.judge(at=60 + more) for more in range(25)]
    alarms = [each for each in found if each.verdict in ("drifted", "broken")]
    assert len(alarms) <= 2
    assert all(each.calibrated and each.history_batches == 60 for each in found)
    assert any(column.p < 1e-4 for each in found for column in each.columns)


def test_a_shift_inside_the_daily_swing_is_found_where_days_hardly_differ(world: World) -> None:
    """Ten minutes more delay move the lower quartile, which hardly moves from day to day."""
    table = swinging(60)
    table["delay"] = table["delay"] + 10
    found = world.judge(table)
    assert found.verdict == "drifted"
    first = found.columns[0]
    assert (first.name, first.fired) == ("delay", "location")
    assert {finding.source for finding in first.findings} == {"history"}
    assert {"q10", "q25"} <= {finding.statistic for finding in first.findings}
    assert "at most" in first.reason


def test_a_renamed_category_is_found_though_it_is_rare(world: World) -> None:
    """Names that no batch has ever had are counted for themselves."""
    table = swinging(60)
    table["carrier"] = np.where(np.arange(1_500) < 30, "UA (new)", table["carrier"])
    found = world.judge(table)
    assert (found.verdict, found.columns[0].name) == ("drifted", "carrier")
    assert any(finding.check == "cardinality" for finding in found.columns[0].findings)


def test_lost_rows_are_a_broken_batch(world: World) -> None:
    """Two thirds of the rows gone is an alarm of the batch as a whole, and its sentence says so."""
    found = world.judge({name: column[:500] for name, column in swinging(60).items()})
    assert found.verdict == "broken"
    assert [finding.check for finding in found.findings] == ["volume"]
    assert found.findings[0].value == pytest.approx(500)
    assert "500 rows" in found.sentence
    empty = world.judge({name: column[:0] for name, column in swinging(60).items()})
    assert empty.verdict == "broken"
    assert empty.findings[0].value == 0


def test_the_history_is_a_line_with_a_band(world: World) -> None:
    """Every past batch is a point of each column's line, and the band lies above most of them."""
    found = world.judge()
    for column in found.columns:
        assert [point.partition for point in column.history] == [day(at) for at in range(60)]
        assert column.band is not None
        above = [point for point in column.history if point.value > column.band]
        assert len(above) <= 3
    assert Decision.model_validate_json(found.model_dump_json()) == found


def test_a_short_history_calibrates_nothing(world: World) -> None:
    """Below `min_history` the published thresholds hold, and the line is shown without a band."""
    found = world.judge(at=20, history=world.history[:20])
    assert not found.calibrated
    assert found.history_batches == 0
    assert all(len(column.history) == 20 and column.band is None for column in found.columns)
    assert not world.judge(rules=Rules(calibrate=False)).calibrated


def test_alarms_do_not_become_ordinary_until_acknowledged(world: World) -> None:
    """A fault of yesterday is found again today; once acknowledged, what is like it is expected."""

    def broken(at: int) -> dict[str, Any]:
        table = swinging(at)
        table["distance"] = table["distance"] * 1.3
        return table

    yesterday = PastBatch(
        partition=day(60), profile=world.count(broken(60)), verdict="drifted", fired=("distance",)
    )
    again = world.judge(broken(61), at=61, history=[*world.history, yesterday])
    assert again.alarms == ("distance",)
    assert again.columns[0].streak == 2
    seen = PastBatch(
        partition=day(60),
        profile=yesterday.profile,
        verdict="drifted",
        fired=("distance",),
        acknowledged=True,
    )
    assert world.judge(broken(61), at=61, history=[*world.history, seen]).alarms == ()


def test_persistence_waits_for_the_next_batch(world: World) -> None:
    """Until a column moved often enough in a row it is not drifted, but its finding is kept."""
    rules = Rules(persistence=2)

    def moved(at: int) -> dict[str, Any]:
        table = swinging(at)
        table["distance"] = table["distance"] * 1.3
        return table

    first = world.judge(moved(60), rules=rules)
    column = next(c for c in first.columns if c.name == "distance")
    assert first.verdict == "stable"
    assert (column.streak, column.severity) == (1, "low")
    assert column.findings
    yesterday = PastBatch(
        partition=day(60), profile=world.count(moved(60)), verdict="stable", fired=first.fired
    )
    second = world.judge(moved(61), at=61, history=[*world.history, yesterday], rules=rules)
    assert (second.verdict, second.alarms) == ("drifted", ("distance",))
    calm = PastBatch(partition=day(61), profile=world.count(swinging(61)), verdict="stable")
    later = world.judge(moved(62), at=62, history=[*world.history, yesterday, calm], rules=rules)
    assert later.verdict == "stable"


def test_what_is_broken_does_not_wait(world: World) -> None:
    """Persistence is for drift: another unit is broken on the first day."""
    table = swinging(60)
    table["distance"] = table["distance"] * 1.609344
    found = world.judge(table, rules=Rules(persistence=5))
    assert (found.verdict, found.columns[0].fired) == ("broken", "units")


def test_a_muted_column_is_shown_and_silent(world: World) -> None:
    """It keeps its verdict and findings, but the batch is not judged by it until that day."""
    table = swinging(60)
    table["distance"] = table["distance"] * 1.3
    now = dt.datetime(2013, 3, 10, tzinfo=dt.UTC)
    muted = world.judge(table, muted={"distance": "2013-03-10"}, now=now)
    assert muted.verdict == "stable"
    assert muted.alarms == ()
    assert muted.sentence == "distance moved and is muted; no drift in 2 of 3 columns."
    column = muted.columns[-1]
    assert (column.name, column.verdict, column.muted_until) == (
        "distance",
        "drifted",
        "2013-03-10",
    )
    assert column.findings
    late = world.judge(table, muted={"distance": "2013-03-09"}, now=now)
    assert late.alarms == ("distance",)


def test_a_weekday_is_expected_to_be_itself() -> None:
    """A weekend that differs as it always does is ordinary; the same on a Tuesday is not."""

    def weekly(at: int) -> dict[str, Any]:
        rng = np.random.default_rng([51, at])
        return {"x": rng.normal(1.5 * (at % 7 >= 5), 1, 1_500), "y": rng.normal(size=1_500)}

    world = World(weekly, days=63)
    assert world.judge(at=63 + 5).verdict == "stable"
    assert world.judge(at=63 + 1).verdict == "stable"
    assert "x" in world.judge(weekly(5), at=63 + 1).alarms


def test_a_trend_is_followed(world: World) -> None:
    """A level that creeps is expected to go on creeping with a rolling reference."""

    def creeping(at: int) -> dict[str, Any]:
        rng = np.random.default_rng([52, at])
        return {"x": rng.normal(0.02 * at, 1, 1_500)}

    world = World(creeping, days=90)
    rules = Rules(against="rolling")
    assert world.judge(rules=rules).verdict == "stable"
    assert world.judge({"x": creeping(90)["x"] + 0.5}, rules=rules).alarms == ("x",)


def test_limits_can_be_frozen(world: World) -> None:
    """Wild days after `limits_until` do not widen the limits that a person has looked at."""
    wild = [
        PastBatch(
            partition=day(60 + more),
            profile=world.count(swinging(60 + more) | {"distance": np.full(1_500, 500.0 + more)}),
        )
        for more in range(10)
    ]
    table = swinging(70)
    table["distance"] = table["distance"] * 1.3
    history = [*world.history, *wild]
    assert world.judge(table, at=70, history=history).alarms == ()
    frozen = world.judge(table, at=70, history=history, rules=Rules(limits_until=day(59)))
    assert frozen.alarms == ("distance",)
    assert frozen.history_batches == 60


def test_a_share_of_missing_rows_is_judged_by_its_own_past() -> None:
    """Where a tenth more missing rows is a usual day, it is no alarm; far more is."""

    def patchy(at: int, share: float | None = None) -> dict[str, Any]:
        rng = np.random.default_rng([53, at])
        share = rng.uniform(0.05, 0.3) if share is None else share
        return {"x": pa.array(rng.normal(size=1_500), mask=rng.random(1_500) < share)}

    world = World(patchy)
    assert world.judge(patchy(60, 0.29)).alarms == ()
    gone = world.judge(patchy(60, 0.9))
    assert (gone.verdict, gone.columns[0].fired) == ("broken", "missing")
    nothing = world.judge({"x": pa.nulls(1_500, pa.float64())})
    assert (nothing.verdict, nothing.columns[0].fired) == ("broken", "missing")


def test_few_rows_are_no_pass_even_with_a_history() -> None:
    """Where chance alone decides what is ordinary, a quiet batch is insufficient, not stable."""

    def small(at: int) -> dict[str, Any]:
        return {"x": np.random.default_rng([54, at]).normal(size=300)}

    found = World(small).judge()
    assert found.calibrated
    assert found.verdict == "insufficient_data"
    assert found.columns[0].smallest_effect > found.smallest_effect


def test_a_column_without_a_past_is_judged_as_without_a_history(world: World) -> None:
    """A column that the past batches do not have yet falls back on the published thresholds."""
    rng = np.random.default_rng(55)
    pinned = build_profile(ds.dataset(pa.table(swinging(0) | {"new": rng.normal(size=1_500)})))
    today = pa.table(swinging(60) | {"new": rng.normal(0.5, size=1_500)})
    history = [
        PastBatch(
            partition=day(at), profile=build_profile(pa.table(swinging(at)), edges_from=pinned)
        )
        for at in range(60)
    ]
    current = build_profile(today, edges_from=pinned)
    found = decide(pinned, current, history=history, partition=day(60))
    assert found.calibrated
    assert found.columns[0].name == "new"
    assert found.columns[0].verdict == "drifted"
    assert {finding.source for finding in found.columns[0].findings} == {"rule", "level"}


@pytest.mark.parametrize("size", [500, 20_000])
def test_unchanged_columns_alarm_about_as_often_as_asked(size: int) -> None:
    """Over four worlds of ten columns, 28 past batches are enough to keep the promised share."""
    alarms = 0
    for seed in range(4):

        def unchanged(at: int, seed: int = seed) -> dict[str, Any]:
            rng = np.random.default_rng([56, seed, at])
            return {f"x{column}": rng.normal(size=size) for column in range(10)}

        world = World(unchanged, days=28)
        found = [world.judge(at=28 + more) for more in range(15)]
        alarms += sum(bool(each.alarms) for each in found)
    # 0.6 of 60 are expected at `false_alarm` = 0.01; 5 or more would be a broken promise
    assert alarms <= 4


def test_segments_say_where() -> None:
    """A fault in one segment is named there, with its own verdict."""

    def airports(at: int, factor: float = 1.0) -> dict[str, Any]:
        rng = np.random.default_rng([57, at])
        origin = rng.choice(["JFK", "LGA"], 4_000)
        x = rng.lognormal(6, 0.5, 4_000)
        return {"origin": origin, "x": np.where(origin == "JFK", x * factor, x)}

    pinned = build_profile(pa.table(airports(0)), by=["origin"])
    found = decide(pinned, build_profile(pa.table(airports(1, 1.5)), edges_from=pinned))
    named = {segment.segment: segment for segment in found.segments}
    moved, calm = named["origin=JFK"], named["origin=LGA"]
    assert found.segments[0] == moved
    assert (moved.verdict, moved.columns) == ("drifted", ("x",))
    assert calm.columns == ()
    assert moved.rows + calm.rows == 4_000


def test_a_batch_in_its_own_history_is_refused(world: World) -> None:
    """A batch that is part of what it is compared with would always look alike."""
    with pytest.raises(InvalidData, match="itself"):
        decide(world.pinned, world.history[3].profile, history=world.history, partition=day(3))
