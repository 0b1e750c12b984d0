"""Working time: hours of the day in a time zone, without weekends and holidays, across DST."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from backbeat.signoff.text import Frozen

__all__ = ["WorkingHours"]

_LONGEST_DAYS = 3660


class WorkingHours(Frozen):
    """When people work.

    A day's hours are those of the clock on the wall, so that a day on which the clocks change is as
    much longer or shorter as it is. An hour that does not exist begins when the clocks have been
    set (PEP 495, fold 0).

    Args:
        time_zone: IANA name, such as `Europe/Vienna`.
        start: Local time at which a day begins.
        end: Local time at which it ends; midnight, `00:00`, is the end of the day.
        weekdays: ISO numbers, Monday is 1.
        holidays: Local dates on which nobody works.
    """

    time_zone: str = Field(max_length=64)
    start: time = time(9)
    end: time = time(17)
    weekdays: frozenset[int] = frozenset({1, 2, 3, 4, 5})
    holidays: frozenset[date] = Field(default=frozenset(), max_length=2000)

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"{value!r} is no time zone that this machine knows: write an IANA name such as "
                "Europe/Vienna, and install tzdata where the machine has none"
            ) from error
        return value

    @model_validator(mode="after")
    def _some_time(self) -> WorkingHours:
        if self.start.tzinfo or self.end.tzinfo:
            raise ValueError("working hours are local: the zone is said once, as time_zone")
        if self.end != time(0) and self.end <= self.start:
            raise ValueError("a working day ends after it starts")
        if not self.weekdays or not self.weekdays <= {1, 2, 3, 4, 5, 6, 7}:
            raise ValueError("weekdays are ISO numbers, 1 for Monday to 7, and at least one")
        return self

    def add(self, moment: datetime, working: timedelta) -> datetime:
        """The moment at which so much working time has passed, UTC.

        Args:
            moment: From when on, with a time zone.
            working: How much; nothing gives the beginning of the next working time.

        Raises:
            ValueError: Ten years of these days do not have that much working time.
        """
        at, left = moment.astimezone(UTC), working
        day = at.astimezone(ZoneInfo(self.time_zone)).date()
        for _ in range(_LONGEST_DAYS):
            start, end = self._hours(day)
            begin = max(at, start)
            if begin < end:
                if left <= end - begin:
                    return begin + left
                left -= end - begin
            day += timedelta(days=1)
        raise ValueError(f"{working} of working time do not pass within ten years")

    def _hours(self, day: date) -> tuple[datetime, datetime]:
        zone = ZoneInfo(self.time_zone)
        start = datetime.combine(day, self.start, zone).astimezone(UTC)
        if day.isoweekday() not in self.weekdays or day in self.holidays:
            return start, start
        last = day + timedelta(days=1) if self.end == time(0) else day
        return start, datetime.combine(last, self.end, zone).astimezone(UTC)
