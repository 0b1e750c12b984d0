from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.drift.action import PastAction, PastVerdict, RetrainPolicy, act
from backbeat.errors import InvalidStep

FIRST = date(2013, 6, 1)


def on(day: int, verdict: str = "drifted", **fields: Any) -> PastVerdict:
    known = {"severity": "medium", "columns": ("air_time",)} if verdict == "drifted" else {}
    return PastVerdict.model_validate(
        {"partition": str(FIRST + timedelta(days=day)), "verdict": verdict, **known, **fields}
    )


def played(policy: RetrainPolicy, season: list[PastVerdict]) -> list[int]:
    """Plays a season night by night; the nights, from 0, that started a retraining."""
    actions: list[PastAction] = []
    for batch in season:
        found = act(policy, batch=batch, verdicts=season, actions=actions)
        if found.action == "retrain":
            actions.append(
                PastAction(
                    partition=batch.partition, columns=batch.columns, reference=batch.reference
                )
            )
    return [(past.day - FIRST).days for past in actions]


def test_drift_that_stays_starts_one_retraining() -> None:
    """Sixty nights of the same drift against the same reference start one retraining."""
    assert played(RetrainPolicy(), [on(day) for day in range(60)]) == [0]


def test_hysteresis_waits_for_a_row() -> None:
    """One odd night starts nothing where three in a row are asked for."""
    season = [on(0), on(1, "stable"), on(2), on(3), on(4), on(5)]
    assert played(RetrainPolicy(after=3), season) == [4]


def test_a_night_too_small_to_tell_neither_counts_nor_breaks_the_row() -> None:
    season = [on(0), on(1, "insufficient_data"), on(2)]
    assert played(RetrainPolicy(after=2), season) == [2]


def test_a_new_column_is_a_new_cause_after_the_cool_down() -> None:
    """Another column may start a second retraining, though not within the cool-down."""
    season = [on(0), *(on(day, columns=("air_time", "dest")) for day in range(1, 12))]
    assert played(RetrainPolicy(cool_down_days=7), season) == [0, 7]


def test_another_reference_makes_the_same_columns_news() -> None:
    """After a promotion the batches are held against another model's data."""
    season = [on(0, reference="v1"), *(on(day, reference="v2") for day in range(1, 12))]
    assert played(RetrainPolicy(cool_down_days=3), season) == [0, 3]


def test_a_drift_that_went_away_may_come_back() -> None:
    """After two quiet nights the old cause is over; after one it is the same one still."""
    quiet = [on(1, "stable"), on(2, "stable")]
    policy = RetrainPolicy(cool_down_days=0, until=2)
    assert played(policy, [on(0), *quiet, on(3)]) == [0, 3]
    assert played(policy, [on(0), on(1, "stable"), on(2)]) == [0]


def test_the_same_cause_repeats_where_the_policy_says_so() -> None:
    policy = RetrainPolicy(repeat_after_days=10)
    assert played(policy, [on(day) for day in range(25)]) == [0, 10, 20]


def test_a_broken_batch_is_not_cured_by_training_on_it() -> None:
    found = act(RetrainPolicy(), batch=on(0, "broken"), verdicts=[], actions=[])
    assert (found.action, found.because, found.reason) == ("hold", "quiet", "the batch is broken")


def test_a_low_severity_is_below_the_policy() -> None:
    found = act(RetrainPolicy(severity="high"), batch=on(0), verdicts=[], actions=[])
    assert (found.action, found.because) == ("hold", "severity")


def test_an_old_batch_that_is_judged_late_starts_nothing() -> None:
    """A backfill of past days does not start what a later day has started."""
    late = PastAction(partition=on(9).partition, columns=("dest",))
    found = act(RetrainPolicy(cool_down_days=0), batch=on(3), verdicts=[], actions=[late])
    assert (found.action, found.because) == ("hold", "superseded")


def test_a_batch_without_a_day_is_refused() -> None:
    with pytest.raises(InvalidStep, match="begins with no day"):
        act(RetrainPolicy(), batch=on(0, partition="spring"), verdicts=[], actions=[])


def test_two_batches_of_one_partition_are_refused() -> None:
    with pytest.raises(InvalidStep, match="same partition"):
        act(RetrainPolicy(), batch=on(5), verdicts=[on(1), on(1, "stable")], actions=[])


batches = st.lists(
    st.tuples(
        st.sampled_from(["drifted", "stable", "broken", "insufficient_data"]),
        st.sampled_from(["low", "medium", "high"]),
        st.sets(st.sampled_from("abc"), min_size=1),
        st.sampled_from(["v1", "v2"]),
    ),
    max_size=40,
)
policies = st.builds(
    RetrainPolicy,
    severity=st.sampled_from(["low", "medium", "high"]),
    after=st.integers(1, 3),
    until=st.integers(1, 3),
    cool_down_days=st.integers(0, 9),
    repeat_after_days=st.none() | st.integers(1, 20),
    budget=st.integers(0, 3),
    budget_days=st.integers(1, 20),
)


@given(policies, batches)
def test_no_season_breaks_the_budget_or_the_cool_down(
    policy: RetrainPolicy, found: list[tuple[str, str, set[str], str]]
) -> None:
    """Whatever happens: the budget holds in each window, and so does the cool-down."""
    season = [
        on(day, verdict, severity=severity, columns=tuple(sorted(columns)), reference=reference)
        for day, (verdict, severity, columns, reference) in enumerate(found)
    ]
    nights = played(policy, season)
    for night in nights:
        window = [other for other in nights if night - policy.budget_days < other <= night]
        assert len(window) <= policy.budget
    assert all(b - a >= policy.cool_down_days for a, b in pairwise(nights))
    assert all(season[night].verdict == "drifted" for night in nights)


@given(policies, batches)
def test_the_answer_for_a_batch_does_not_change_with_what_comes_later(
    policy: RetrainPolicy, found: list[tuple[str, str, set[str], str]]
) -> None:
    """Asked again after the season, every batch gets the answer it got then."""
    season = [
        on(day, verdict, severity=severity, columns=tuple(sorted(columns)), reference=reference)
        for day, (verdict, severity, columns, reference) in enumerate(found)
    ]
    nights = played(policy, season)
    actions = [
        PastAction(
            partition=season[night].partition,
            columns=season[night].columns,
            reference=season[night].reference,
        )
        for night in nights
    ]
    for day, batch in enumerate(season):
        again = act(policy, batch=batch, verdicts=season, actions=actions)
        assert (again.action == "retrain") == (day in nights)
