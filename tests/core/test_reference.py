from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backbeat import Dataset


def test_a_string_is_the_name_of_a_dataset() -> None:
    """A bare string and its long form are the same dataset."""
    assert Dataset.model_validate("a/b.parquet") == Dataset(uri="a/b.parquet")
    assert Dataset(uri="a/b.parquet").uris() == ("a/b.parquet",)


def test_a_window_is_counted_back_from_the_shifted_day() -> None:
    """Three days before 10 March are 7, 8 and 9 March, in order."""
    window = Dataset(uri="x/{day}.parquet", until=date(2013, 3, 10), shift=-1, days=3)
    assert window.uris() == tuple(f"x/2013-03-0{day}.parquet" for day in (7, 8, 9))


@given(
    until=st.dates(date(1950, 1, 1), date(2100, 1, 1)),
    shift=st.integers(-400, 400),
    days=st.integers(1, 500),
)
def test_a_window_is_consecutive_days(until: date, shift: int, days: int) -> None:
    """Whatever is asked, the days are consecutive, as many as asked, and end at until + shift."""
    covered = Dataset(uri="{day}", until=until, shift=shift, days=days).days_covered()
    assert len(covered) == days
    assert (covered[-1] - until).days == shift
    assert all((b - a).days == 1 for a, b in pairwise(covered))


@pytest.mark.parametrize(
    "fields", [{"uri": "x/{day}"}, {"uri": "x", "until": "2013-03-10"}, {"uri": ""}]
)
def test_day_and_until_belong_together(fields: dict[str, str]) -> None:
    """A pattern without a day to count from, or a day without a pattern, is refused."""
    with pytest.raises(ValidationError):
        Dataset.model_validate(fields)


def test_a_window_has_a_title_for_people() -> None:
    """The title names the first and last day, and never shows the placeholder."""
    window = Dataset(uri="landing/{day}.parquet", until=date(2013, 3, 10), shift=-1, days=3)
    assert window.title == "landing/2013-03-07 to 2013-03-09.parquet"
    assert Dataset(uri="landing/{day}.csv", until=date(2013, 3, 10)).title == (
        "landing/2013-03-10.csv"
    )
    assert Dataset(uri="a.parquet").title == "a.parquet"
