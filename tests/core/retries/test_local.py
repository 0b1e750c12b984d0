"""Token buckets of one process, beside those of the ledger."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.ledger import open_ledger
from backbeat.ports import Budget
from backbeat.retries.local import LocalBuckets

amounts = st.floats(min_value=0, max_value=20)
moves = st.lists(st.tuples(amounts, amounts, amounts), max_size=40)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(capacity=amounts, refill=amounts, moves=moves)
def test_no_more_is_spent_than_was_there(
    capacity: float, refill: float, moves: list[tuple[float, float, float]]
) -> None:
    """What is granted never exceeds the first fill, what time gave back, and what was earned."""
    clock = Clock()
    buckets = LocalBuckets(clock)
    budget = Budget("b", capacity=capacity, refill_per_second=refill)
    spent, given_back = 0.0, capacity
    for elapsed, cost, earned in moves:
        clock.now += elapsed
        given_back += elapsed * refill + earned
        if buckets.spend(budget, cost=cost, earned=earned):
            spent += cost
        assert spent <= given_back * (1 + 1e-9) + 1e-9
        assert not buckets.spend(budget, cost=capacity + 1e-6)  # it never holds more than that


def test_a_first_use_finds_it_full_and_time_fills_it() -> None:
    """Ten at first; then one a second, and never more than ten."""
    clock = Clock()
    buckets = LocalBuckets(clock)
    budget = Budget("b", capacity=10, refill_per_second=1)
    assert [buckets.spend(budget, cost=1) for _ in range(11)] == [True] * 10 + [False]
    clock.now += 3
    assert [buckets.spend(budget, cost=1) for _ in range(4)] == [True] * 3 + [False]
    clock.now += 3600
    assert not buckets.spend(budget, cost=11)
    assert buckets.spend(budget, cost=10)


def test_a_refusal_keeps_what_was_earned() -> None:
    """Nothing is taken where the cost is not there, and what came in stays in."""
    buckets = LocalBuckets(Clock())
    budget = Budget("b", capacity=2)
    assert buckets.spend(budget, cost=2)
    assert not buckets.spend(budget, cost=1, earned=0.75)
    assert buckets.spend(budget, cost=1, earned=0.25)


def test_threads_do_not_spend_a_token_twice() -> None:
    """Eight threads that want a hundred each get the hundred that there are."""
    buckets = LocalBuckets()
    budget = Budget("b", capacity=100)
    granted: list[bool] = []

    def want() -> None:
        granted.extend(buckets.spend(budget, cost=1) for _ in range(100))

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 100


@pytest.mark.parametrize("refill", [0.0, 0.5])
def test_the_ledger_keeps_the_same_books(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refill: float
) -> None:
    """The same moves are granted and refused alike by a bucket here and by one in the ledger."""
    clock = Clock()
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    began = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(
        ledger._db, "now", lambda: began + timedelta(seconds=clock.now - 1000.0), raising=True
    )
    buckets = LocalBuckets(clock)
    budget = Budget("b", capacity=3, refill_per_second=refill)
    moves = [(0, 1, 0), (0, 2, 0), (0, 1, 0.5), (1, 1, 0.5), (10, 3, 9), (0.5, 1, 0), (4, 2, 0)]
    for elapsed, cost, earned in moves:
        clock.now += elapsed
        here = buckets.spend(budget, cost=cost, earned=earned)
        assert ledger.spend(budget, cost=cost, earned=earned) is here
