"""Numbers, dates, times and durations as people write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

__all__ = ["spanned", "written"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE = frozenset({"integer", "boolean", "date"})
_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_SMALL = ((1.0, 1.0, "s"), (1e-3, 1e3, "ms"), (1e-6, 1e6, "µs"), (0.0, 1e9, "ns"))
_MINUTES, _SECONDS = 4, 7
_MINUTE, _DAY = 60, 86_400
_THOUSAND = 1000
_LARGE = 1e15


def written(family: str, value: float, digits: int = 4) -> str:
    """A value of a column as people write it.

    Args:
        family: What the number is: dates are days and times, timestamps and durations are seconds,
            since 1970 where they are moments; any other family is a plain number.
        value: The value.
        digits: Significant digits of a fraction; 5 and more also show seconds, 8 and more all.
    """
    if family == "boolean":
        return "true" if value >= 1 else "false"
    if family in ("date", "time", "timestamp"):
        return _moment(family, value, digits)
    if family == "duration":
        return _duration(value, digits)
    return _number(value, digits)


def spanned(family: str, low: float | None, high: float | None) -> str:
    """The values above `low` and up to `high` as people write a range.

    Args:
        family: What the numbers are.
        low: Values are greater than this; None where the range is open.
        high: Values are at most this; None likewise.
    """
    if high is None:
        return "every value" if low is None else f"above {written(family, low)}"
    if low is None:
        # the first edge lies just under the smallest value seen
        return f"below {written(family, math.nextafter(high, math.inf))}"
    if family in _WHOLE:
        low, high = float(math.floor(low) + 1), float(math.floor(high))
    elif math.nextafter(low, math.inf) == high:
        low = high
    if low >= high:
        return written(family, high, _SECONDS)
    # as few digits as tell the two ends apart: pressures of 1013.2 and 1013.4 are a range
    ends = ("", "")
    for digits in range(3, 17):
        ends = written(family, low, digits), written(family, high, digits)
        if ends[0] != ends[1]:
            break
    first, last = ends
    day = first.partition(" ")[0]
    if family == "timestamp" and " " in first and last.startswith(f"{day} "):
        last = last.removeprefix(f"{day} ")
    return f"{first} to {last}"


def _moment(family: str, value: float, digits: int) -> str:
    try:
        moment = _EPOCH + timedelta(seconds=value * (_DAY if family == "date" else 1))
    except OverflowError:
        return f"{value:.{digits}g}"
    if family == "date":
        return moment.date().isoformat()
    part = "minutes" if digits <= _MINUTES else "seconds" if digits <= _SECONDS else "auto"
    if not moment.second and not moment.microsecond:
        part = "minutes"
    clock = moment.time().isoformat(part)
    return clock if family == "time" else f"{moment.date().isoformat()} {clock}"


def _duration(value: float, digits: int) -> str:
    sign, rest = ("-" if value < 0 else ""), abs(value)
    if rest < _MINUTE:
        return sign + _seconds(rest, digits)
    largest = next(at for at, (size, _) in enumerate(_UNITS) if rest >= size)
    # two units say enough; each digit more that is asked for adds one
    smallest = _UNITS[min(largest + max(1, digits - 3), len(_UNITS) - 1)][0]
    if digits <= _SECONDS:
        rest = round(rest / smallest) * smallest
    parts = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count:,.0f} {unit}")
    if rest:
        parts.append(_seconds(rest, digits))
    return sign + " ".join(parts)


def _seconds(value: float, digits: int) -> str:
    if not value:
        return "0 s"
    _, factor, unit = next(size for size in _SMALL if value >= size[0])
    return f"{_number(value * factor, digits)} {unit}"


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    if abs(value) < _LARGE and (value == math.floor(value) or abs(value) >= 10**digits):
        return f"{value:,.0f}"
    if abs(value) >= _THOUSAND and "e" not in text:
        return f"{float(text):,.15g}"
    return text
