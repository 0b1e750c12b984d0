from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.drift import PastBatch, Profile, Rules, build_profile
from backbeat.drift.reference import reference_of, replay
from backbeat.errors import InvalidData, InvalidStep

PINNED = build_profile(ds.dataset(pa.table({"x": np.arange(10.0)})))
DAYS = [f"2013-07-{day:02d}" for day in range(1, 29)]  # the first is a Monday


def past(partition: str, value: float = 0.0, **told: Any) -> PastBatch:
    data = ds.dataset(pa.table({"x": [value] * 10}))
    return PastBatch(partition=partition, profile=build_profile(data, edges_from=PINNED), **told)


HISTORY = [past(day, float(at % 10)) for at, day in enumerate(DAYS)]


def values(profile: Profile) -> dict[int, int]:
    """How often each value is in a profile of whole numbers."""
    counts = profile.columns["x"].counts
    return {at - 1: count for at, count in enumerate(counts) if count}


def test_the_pinned_profile_is_itself() -> None:
    """By default a batch is compared with what the model was trained on."""
    found, title = reference_of(Rules(), PINNED, HISTORY, "2013-07-29")
    assert found is PINNED
    assert title == "the pinned profile"


def test_a_rolling_reference_is_the_last_batches_together() -> None:
    """Exactly the last `window` batches are in it, and the title says how many."""
    found, title = reference_of(Rules(against="rolling", window=3), PINNED, HISTORY, "2013-07-29")
    assert values(found) == {5: 10, 6: 10, 7: 10}
    assert title == "the last 3 batches"
    few, title = reference_of(Rules(against="rolling"), PINNED, HISTORY[:2], "2013-07-03")
    assert few.rows == 20
    assert title == "the last 2 batches"


def test_a_weekday_is_compared_with_its_own() -> None:
    """Only batches of the same weekday are in the reference, the last few of them."""
    rules = Rules(against="weekday", weekdays=3)
    found, title = reference_of(rules, PINNED, HISTORY, "2013-07-29")
    assert values(found) == {at % 10: 10 for at in (7, 14, 21)}
    assert title == "the last 3 Mondays"
    with pytest.raises(InvalidStep, match="no ISO day"):
        reference_of(rules, PINNED, HISTORY, "batch 29")


def test_a_fault_is_no_measure() -> None:
    """A batch that raised an alarm is left out until a person acknowledges it."""
    bad = past("2013-07-29", 9.0, verdict="drifted")
    seen = past("2013-07-29", 9.0, verdict="drifted", acknowledged=True)
    rules = Rules(against="last_good")
    found, title = reference_of(rules, PINNED, [*HISTORY, bad], "2013-07-30")
    assert (values(found), title) == ({7: 10}, "the last good batch, 2013-07-28")
    found, title = reference_of(rules, PINNED, [*HISTORY, seen], "2013-07-30")
    assert (values(found), title) == ({9: 10}, "the last good batch, 2013-07-29")


@pytest.mark.parametrize("against", ["rolling", "weekday", "last_good"])
def test_nothing_to_compare_with_is_said(against: Any) -> None:
    """Without an ordinary batch there is no reference, and the hint says what to do."""
    bad = past("2013-07-01", verdict="broken")
    with pytest.raises(InvalidData, match="no ordinary batch") as caught:
        reference_of(Rules(against=against), PINNED, [bad], "2013-07-08")
    assert "backfill" in caught.value.hint


@pytest.mark.parametrize("against", ["pinned", "rolling", "weekday", "last_good"])
def test_a_reference_with_the_batch_in_it_is_refused(against: Any) -> None:
    """A batch that is compared with itself would always look alike."""
    with pytest.raises(InvalidData, match="2013-07-28 itself"):
        reference_of(Rules(against=against), PINNED, HISTORY, "2013-07-28")
    own = PINNED.model_copy(update={"partition": "2013-08-01"})
    with pytest.raises(InvalidData, match="2013-08-01 itself"):
        reference_of(Rules(), own, HISTORY, "2013-08-01")


def test_every_past_batch_has_had_a_reference_of_others() -> None:
    """Each is compared with as many batches as the new one is, those before it, never itself."""
    assert replay(Rules(), DAYS) is None
    rolling = replay(Rules(against="rolling", window=5), DAYS)
    assert (rolling.sum(axis=1) == 5).all()
    assert not np.diag(rolling).any()
    assert np.flatnonzero(rolling[20]).tolist() == [15, 16, 17, 18, 19]
    weekday = replay(Rules(against="weekday", weekdays=2), DAYS)
    assert np.flatnonzero(weekday[20]).tolist() == [6, 13]
    assert np.flatnonzero(replay(Rules(against="last_good"), DAYS)[20]).tolist() == [19]
