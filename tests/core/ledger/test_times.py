from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from backbeat.ledger.times import from_text, to_text

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=ZONES)  # noqa: DTZ001


def test_the_text_has_one_form() -> None:
    """UTC, microseconds even where they are nothing, and a Z."""
    assert to_text(datetime(2026, 11, 22, 2, tzinfo=UTC)) == "2026-11-22T02:00:00.000000Z"


@given(MOMENTS, MOMENTS)
def test_the_order_of_texts_is_the_order_of_moments(a: datetime, b: datetime) -> None:
    """SQL may compare the texts, whatever zone the moments came from."""
    assert (to_text(a) < to_text(b)) == (a < b)
    assert from_text(to_text(a)) == a
