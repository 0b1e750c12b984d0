from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.drift import Decision, Profile, build_profile, decide
from backbeat.drift.rules import Rules
from backbeat.errors import InvalidStep

NOW = dt.datetime(2013, 7, 10, 12, tzinfo=dt.UTC)


def profile(columns: dict[str, Any], **options: Any) -> Profile:
    return build_profile(ds.dataset(pa.table(columns)), **options)


def compare(reference: Any, current: Any, **options: Any) -> Decision:
    old = profile({"x": reference})
    return decide(old, profile({"x": current}, edges_from=old), **options)


@pytest.mark.parametrize(
    ("factor", "offset", "name"),
    [
        (1.609344, 0, "km instead of miles"),
        (1 / 1.609344, 0, "miles instead of km"),
        (100, 0, "a hundredth of the unit"),
        (1e-3, 0, "a thousand times the unit"),
        (60, 0, "seconds instead of minutes"),
        (1 / 0.3048, 0, "feet instead of metres"),
    ],
)
def test_another_unit_is_named(factor: float, offset: float, name: str) -> None:
    """A column that is a known multiple of what it was is broken, and the unit is named."""
    rng = np.random.default_rng(40)
    found = compare(rng.lognormal(5, 0.6, 9_000), rng.lognormal(5, 0.6, 900) * factor + offset)
    assert (found.verdict, found.columns[0].fired) == ("broken", "units")
    assert f"looks like {name}" in found.columns[0].reason
    fired = found.columns[0].findings[0]
    assert fired.value <= fired.threshold


def test_temperatures_change_their_scale() -> None:
    """Fahrenheit for Celsius is an offset as well as a factor, there and back."""
    rng = np.random.default_rng(41)
    celsius, today = rng.normal(12, 9, 9_000), rng.normal(12, 9, 900)
    hot = compare(celsius, today * 1.8 + 32)
    assert "Fahrenheit instead of Celsius" in hot.columns[0].reason
    cold = compare(celsius * 1.8 + 32, today)
    assert "Celsius instead of Fahrenheit" in cold.columns[0].reason
    assert "kelvin" in compare(celsius, today + 273.15).columns[0].reason


def test_the_cause_comes_before_its_consequence() -> None:
    """Where a broken column explains another, people are sent to the broken one first."""
    rng = np.random.default_rng(44)
    miles, day = rng.uniform(80, 2_500, 9_000), rng.uniform(80, 2_500, 2_000)
    old = profile(
        {"distance": miles, "air_time": miles / 8 + rng.normal(0, 3, miles.size)},
        given={"air_time": ["distance"]},
    )
    today = {"distance": day * 1.609344, "air_time": day / 8 + rng.normal(0, 3, day.size)}
    new = build_profile(ds.dataset(pa.table(today)), columns=tuple(old.columns), edges_from=old)
    found = decide(old, new)
    assert [(c.name, c.verdict) for c in found.columns[:2]] == [
        ("distance", "broken"),
        ("air_time given distance", "broken"),
    ]


@pytest.mark.parametrize("factor", [1.1, 1.4, 2.0, 0.5])
def test_a_factor_that_is_no_unit_is_drift(factor: float) -> None:
    """Prices that doubled are drift: only factors between known units count as broken."""
    rng = np.random.default_rng(42)
    found = compare(rng.lognormal(5, 0.6, 9_000), rng.lognormal(5, 0.6, 2_000) * factor)
    assert found.verdict == "drifted"


def test_another_shape_is_no_unit() -> None:
    """Half of a column in other units is drift, not another unit."""
    rng = np.random.default_rng(43)
    today = rng.lognormal(5, 0.6, 2_000)
    today[:1_000] *= 1.609344
    assert compare(rng.lognormal(5, 0.6, 9_000), today).verdict == "drifted"


def test_names_that_nobody_knows_are_broken() -> None:
    """A column half of whose rows hold names the reference has not is another column."""
    rng = np.random.default_rng(44)
    old = rng.choice(["JFK", "LGA", "EWR"], 3_000)
    found = compare(old, [f"{x:.3f}" for x in rng.normal(size=900)])
    assert (found.verdict, found.columns[0].fired) == ("broken", "cardinality")


@pytest.mark.parametrize("size", [2_000, 5])
def test_a_column_without_values_is_broken(size: int) -> None:
    """All null where the reference was not is broken at any size, also without a history."""
    found = compare(np.arange(1_000.0), pa.nulls(size, pa.float64()))
    assert (found.verdict, found.columns[0].fired) == ("broken", "missing")


def test_a_null_where_nulls_are_usual_is_no_break() -> None:
    """One row without a value says nothing where a third have none."""
    old = pa.array(np.arange(1_000.0), mask=np.arange(1_000) % 3 == 0)
    assert compare(old, pa.nulls(1, pa.float64())).verdict == "insufficient_data"


@pytest.mark.parametrize(
    ("newest", "hours", "stale"),
    [
        (NOW - dt.timedelta(hours=1), 2, False),
        (NOW - dt.timedelta(hours=3), 2, True),
        (NOW + dt.timedelta(days=2), 2, False),
        (dt.date(2013, 7, 10), 2, False),
        (dt.date(2013, 7, 9), 13, False),
        (dt.date(2013, 7, 9), 11, True),
    ],
)
def test_old_rows_are_stale(newest: Any, hours: float, stale: bool) -> None:
    """The newest row's age counts; a date lasts until its day is over."""
    rules = Rules(time_column="x", max_age_hours=hours)
    found = compare([newest] * 50, [newest] * 50, rules=rules, now=NOW)
    assert (found.columns[0].fired == "freshness") == stale
    assert (found.verdict == "broken") == stale


def test_a_time_column_may_go_on() -> None:
    """Tomorrow's rows are later than today's: no drift of the column that the rules name for it."""
    today = {"at": [NOW + dt.timedelta(minutes=m) for m in range(1200)] * 5, "x": [1.0, 2.0] * 3000}
    old = profile(today)
    later = {**today, "at": [at + dt.timedelta(days=1) for at in today["at"]]}
    new = profile(later, edges_from=old)
    assert decide(old, new, now=NOW).alarms == ("at",)
    found = decide(old, new, rules=Rules(time_column="at"), now=NOW)
    assert found.verdict == "stable"
    (clock,) = [column for column in found.columns if column.name == "at"]
    assert clock.reason == "it goes on from batch to batch, as a time column does"
    moved = profile({**later, "x": [9.0] * 6000}, edges_from=old)
    assert decide(old, moved, rules=Rules(time_column="at"), now=NOW).alarms == ("x",)
    emptied = profile({**later, "at": pa.nulls(6000, pa.timestamp("us", "UTC"))}, edges_from=old)
    assert decide(old, emptied, rules=Rules(time_column="at"), now=NOW).verdict == "broken"


def test_freshness_needs_moments() -> None:
    """A time column that is none is refused; one that went missing is a broken schema."""
    rules = Rules(time_column="at", max_age_hours=1)
    with pytest.raises(InvalidStep, match="'at'"):
        compare([1.0], [1.0], rules=rules, now=NOW)
    old = profile({"x": [1.0], "at": [NOW]})
    found = decide(old, profile({"x": [1.0]}, edges_from=old), rules=rules, now=NOW)
    assert (found.verdict, found.columns[0].fired) == ("broken", "schema")
    empty = pa.nulls(1, pa.timestamp("us", "UTC"))
    silent = decide(old, profile({"x": [1.0], "at": empty}, edges_from=old), rules=rules, now=NOW)
    assert silent.verdict == "broken"
    assert any(finding.check == "freshness" for finding in silent.columns[0].findings)
