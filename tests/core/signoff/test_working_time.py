"""Working hours, held against a count of the minutes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from backbeat.signoff import WorkingHours

VIENNA = WorkingHours(time_zone="Europe/Vienna")
ZONES = ["Europe/Vienna", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]
MINUTE = timedelta(minutes=1)


def _works(hours: WorkingHours, moment: datetime) -> bool:
    local = moment.astimezone(ZoneInfo(hours.time_zone))
    end = hours.end == time(0) or local.time() < hours.end
    return (
        local.isoweekday() in hours.weekdays
        and local.date() not in hours.holidays
        and hours.start <= local.time()
        and end
    )


@given(
    zone=st.sampled_from(ZONES),
    begin=st.integers(0, 20 * 24 * 60),
    minutes=st.integers(1, 1500),
    holidays=st.frozensets(st.dates(date(2025, 3, 20), date(2025, 4, 20)), max_size=3),
    # outside of the hours in which clocks change, where the wall shows an hour twice or never
    day=st.sampled_from([(time(9), time(17)), (time(6, 30), time(0)), (time(4), time(5))]),
)
@settings(max_examples=60, deadline=None)
def test_it_is_the_minutes_in_which_somebody_works(
    zone: str,
    begin: int,
    minutes: int,
    holidays: frozenset[date],
    day: tuple[time, time],
) -> None:
    """Across weekends, holidays and the days on which clocks change."""
    hours = WorkingHours(time_zone=zone, start=day[0], end=day[1], holidays=holidays)
    start = datetime(2025, 3, 20, tzinfo=UTC) + begin * MINUTE
    at, left = start, minutes
    while left:
        left -= _works(hours, at)
        at += MINUTE
    assert hours.add(start, minutes * MINUTE) == at


@pytest.mark.parametrize(
    ("begin", "hours", "end"),
    [
        ("2025-03-28T16:00", 2, "2025-03-31T10:00"),  # Friday; the clocks change on Sunday
        ("2025-01-06T08:00", 8, "2025-01-06T17:00"),
        ("2025-01-04T12:00", 0, "2025-01-06T09:00"),
        ("2025-10-24T16:30", 1, "2025-10-27T09:30"),
    ],
)
def test_some_days_in_vienna(begin: str, hours: float, end: str) -> None:
    """The wall's clock says when people come and go, whatever UTC says."""
    zone = ZoneInfo("Europe/Vienna")
    moment = datetime.fromisoformat(begin).replace(tzinfo=zone)
    found = VIENNA.add(moment, timedelta(hours=hours))
    assert found.astimezone(zone).isoformat(timespec="minutes")[:16] == end


def test_a_night_on_which_an_hour_is_missing_is_shorter() -> None:
    """From midnight to six are five hours when the clocks go forward, and seven in autumn."""
    nights = WorkingHours(
        time_zone="Europe/Vienna", start=time(0), end=time(6), weekdays=frozenset({7})
    )
    for day, length in (("2025-03-30", 5), ("2025-10-26", 7)):
        begin = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo("Europe/Vienna"))
        end = nights.add(begin, timedelta(hours=length))
        assert end.astimezone(ZoneInfo("Europe/Vienna")).hour == 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"time_zone": "Mars/Olympus"}, "no time zone that this machine knows"),
        ({"time_zone": "../../etc/passwd"}, "no time zone that this machine knows"),
        ({"time_zone": "UTC", "start": "17:00", "end": "09:00"}, "ends after it starts"),
        ({"time_zone": "UTC", "weekdays": [0]}, "ISO numbers"),
        ({"time_zone": "UTC", "weekdays": []}, "at least one"),
        ({"time_zone": "UTC", "start": "09:00+02:00"}, "working hours are local"),
    ],
)
def test_what_is_no_working_time_is_told(fields: dict[str, object], message: str) -> None:
    """Before anybody waits for it."""
    with pytest.raises(ValidationError, match=message):
        WorkingHours.model_validate(fields)


def test_time_that_never_comes_is_an_error() -> None:
    """Everybody is on holiday for ten years."""
    first = date(2025, 1, 1)
    days = frozenset(first + timedelta(days=7 * n) for n in range(530))
    hours = WorkingHours(time_zone="UTC", weekdays=frozenset({3}), holidays=days)
    with pytest.raises(ValueError, match="within ten years"):
        hours.add(datetime(2025, 1, 1, tzinfo=UTC), timedelta(hours=1))
