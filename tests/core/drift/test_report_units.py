from __future__ import annotations

import pytest

from backbeat.drift._units import spanned, written
from backbeat.drift._wording import moved, shown


@pytest.mark.parametrize(
    ("family", "value", "text"),
    [
        ("boolean", 1.0, "true"),
        ("date", 15_874.0, "2013-06-18"),
        ("time", 19_800.0, "05:30"),
        ("timestamp", 1_371_549_600.0, "2013-06-18 10:00"),
        ("timestamp", 1e300, "1e+300"),
        ("duration", 0.0, "0 s"),
        ("duration", 0.25, "250 ms"),
        ("duration", 12.5, "12.5 s"),
        ("duration", 3_599.9, "1 h"),
        ("duration", 5_405.0, "1 h 30 min"),
        ("duration", -300.0, "-5 min"),
        ("duration", 90_061.0, "1 d 1 h"),
        ("integer", 1_234_567.0, "1,234,567"),
        ("number", 0.000123456, "0.0001235"),
    ],
)
def test_values_are_written_as_people_write_them(family: str, value: float, text: str) -> None:
    """Dates, times and durations are no numbers of seconds, and large numbers have commas."""
    assert written(family, value) == text


@pytest.mark.parametrize(
    ("family", "low", "high", "text"),
    [
        ("integer", 4.0, 9.0, "5 to 9"),
        ("number", 1013.2, 1013.21, "1,013.2 to 1,013.21"),
        ("number", None, 3.0, "below 3"),
        ("number", 3.0, None, "above 3"),
        ("time", 19_800.0, 23_400.0, "05:30 to 06:30"),
        ("timestamp", 1_371_549_600.0, 1_371_553_200.0, "2013-06-18 10:00 to 11:00"),
        ("timestamp", 1_371_549_600.0, 1_371_549_605.0, "2013-06-18 10:00 to 10:00:05"),
        ("duration", 6_840.0, 7_320.0, "1 h 54 min to 2 h 2 min"),
        ("boolean", -0.5, 0.0, "false"),
    ],
)
def test_ranges_say_as_much_as_tells_their_ends_apart(
    family: str, low: float | None, high: float | None, text: str
) -> None:
    """A range has no more digits than it needs, and names a day once."""
    assert spanned(family, low, high) == text


def test_hidden_characters_are_shown_and_long_names_cut_in_the_middle() -> None:
    """What would turn or hide text is named; a long name keeps its beginning and its end."""
    assert shown("a\u202eb\u2066c\x00\ud800") == "a[U+202E]b[U+2066]c[U+0000][U+D800]"
    cut = shown("first_" + "x" * 100_000 + "_last", 40)
    assert len(cut) == 40
    assert cut.startswith("first_")
    assert cut.endswith("_last")
    assert shown("שלום \n\t مرحبا") == "שלום مرحبا"


def test_what_moved_is_said_in_words() -> None:
    """A category that came or went is called so; else the change is in points."""
    assert moved(0.0, 0.023) == "is new: 2.3% of values"
    assert moved(0.04, 0.0) == "is gone: it was 4.0% of values"
    assert moved(0.1, 0.35) == "rose from 10.0% to 35.0% (+25.0\u00a0points)"
    assert moved(0.35, 0.1) == "fell from 35.0% to 10.0% (−25.0\u00a0points)"  # noqa: RUF001
