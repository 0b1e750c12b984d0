from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flights.features import LABELS_SCHEMA, SCHEDULE_SCHEMA, labels, schedules
from flights.settings import FEATURES, KEY, LABEL
from flights.source import Raw, read

DAY = date(2013, 6, 14)
WEEK = [DAY + timedelta(days=count) for count in range(7)]
UNKNOWN_BEFORE = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]


def _schedule(raw: Raw, day: date = DAY) -> pa.Table:
    return dict(schedules(raw, [day]))[day]


def _weather_changed(raw: Raw, rows: pd.Series) -> Raw:
    weather = raw.weather.copy()
    for column in ("temp", "humid", "wind_speed", "precip", "pressure", "visib"):
        weather.loc[rows, column] = 1.0
    return replace(raw, weather=weather)


def test_what_a_flight_does_later_is_not_a_feature() -> None:
    """Scrambling every departure, arrival and delay leaves the schedule as it was."""
    raw = read()
    flights = raw.flights.copy()
    random = np.random.default_rng(0)
    for column in UNKNOWN_BEFORE:
        flights[column] = random.permutation(flights[column].to_numpy())

    assert _schedule(replace(raw, flights=flights)).equals(_schedule(raw))


def test_weather_from_midnight_on_is_not_a_feature() -> None:
    """The weather of the day itself, and of all days after it, leaves its schedule as it was."""
    raw = read()
    later = raw.weather["date"] >= pd.Timestamp(DAY)

    assert later.any()
    assert _schedule(_weather_changed(raw, later)).equals(_schedule(raw))


def test_weather_of_the_evening_before_is_a_feature() -> None:
    """The last thing seen at the origin before the night is what the model is given."""
    raw = read()
    evening = (raw.weather["date"] == pd.Timestamp(DAY - timedelta(days=1))) & (
        raw.weather["hour"] == 23
    )
    changed = _schedule(_weather_changed(raw, evening))

    assert changed["visib_miles"].to_pylist() == [1.0] * changed.num_rows
    assert not changed["temp_f"].equals(_schedule(raw)["temp_f"])
    assert changed["distance_miles"].equals(_schedule(raw)["distance_miles"])


def test_a_flight_is_in_its_days_schedule_under_one_key() -> None:
    """Keys are unique over the whole year, and every flight is there."""
    year = [date(2013, 1, 1) + timedelta(days=count) for count in range(365)]
    keys = [key for _, table in schedules(read(), year) for key in table[KEY].to_pylist()]

    assert len(keys) == len(set(keys)) == 336_776


def test_a_day_is_the_same_alone_and_among_others() -> None:
    """A day's rows do not depend on which other days are built with it."""
    week = dict(schedules(read(), WEEK))

    assert list(week) == WEEK
    assert week[DAY].equals(_schedule(read()))


def test_columns_types_and_units_are_fixed() -> None:
    """A schedule has the declared columns and no others; a plane that is unknown is a null."""
    schedule = _schedule(read())

    assert schedule.schema.equals(SCHEDULE_SCHEMA, check_metadata=True)
    assert set(FEATURES) < set(schedule.schema.names)
    assert set(schedule["flight_date"].to_pylist()) == {DAY}
    assert set(schedule["weekday"].to_pylist()) == {5}
    assert schedule["seats"].null_count > 0
    assert "unknown" in schedule["engine"].to_pylist()


def test_the_first_day_has_no_weather() -> None:
    """Where nobody looked the evening before, the weather is null, and the flights are there."""
    schedule = _schedule(read(), date(2013, 1, 1))

    assert schedule.num_rows == 842
    assert schedule["temp_f"].null_count == 842


def test_a_day_without_flights_is_empty() -> None:
    """A day outside the data gives an empty table of the right schema."""
    assert _schedule(read(), date(2014, 2, 1)).equals(SCHEDULE_SCHEMA.empty_table())


def test_label_is_fifteen_minutes_late() -> None:
    """A flight is late from the 15th minute on; one that never arrived has no label."""
    raw = read()
    flights = raw.flights[raw.flights["date"] == pd.Timestamp(DAY)].head(4)
    flights = flights.assign(arr_delay=[14.0, 15.0, np.nan, -20.0])
    found = dict(labels(replace(raw, flights=flights), [DAY]))[DAY]
    keys = dict(zip(flights["flight"].astype(str), flights["arr_delay"], strict=True))

    assert found.schema.equals(LABELS_SCHEMA, check_metadata=True)
    assert found.num_rows == 3
    for key, late in zip(found[KEY].to_pylist(), found[LABEL].to_pylist(), strict=True):
        number = next(number for number in keys if key.split("-")[1].endswith(number))
        assert late == (keys[number] >= 15)


@pytest.mark.parametrize("day", [DAY, date(2013, 2, 9)])
def test_labels_belong_to_the_schedule(day: date) -> None:
    """Every label names a flight of that day's schedule, storms and cancellations included."""
    planned = set(_schedule(read(), day)[KEY].to_pylist())
    labelled = dict(labels(read(), [day]))[day][KEY].to_pylist()

    assert set(labelled) < planned
