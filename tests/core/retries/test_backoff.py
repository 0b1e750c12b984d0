"""How long to wait before the next attempt."""

from __future__ import annotations

import os
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.retries import seconds_to_wait

seconds = st.floats(min_value=0, max_value=1e6)


def _seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a test must fail the same way twice


@given(attempt=st.integers(1, 10_000), base=seconds, cap=seconds, seed=st.integers())
def test_the_wait_lies_within_a_window_that_doubles_up_to_its_cap(
    attempt: int, base: float, cap: float, seed: int
) -> None:
    """Never negative, never longer than base * 2^(attempt - 1), never longer than the cap."""
    wait = seconds_to_wait(attempt, base=base, cap=cap, rng=_seeded(seed))
    assert 0 <= wait <= min(cap, base * 2 ** min(attempt - 1, 100))


def test_the_whole_window_is_used() -> None:
    """Full jitter: the waits of many clients fill the window evenly, from nothing on."""
    rng = _seeded(7)
    waits = [seconds_to_wait(3, base=1, cap=60, rng=rng) for _ in range(4000)]
    quarters = [sum(number <= wait < number + 1 for wait in waits) for number in range(4)]
    assert sum(quarters) == 4000
    assert all(900 < quarter < 1100 for quarter in quarters)


@given(
    attempt=st.integers(1, 100), base=seconds, cap=seconds, retry_after=seconds, seed=st.integers()
)
def test_retry_after_is_a_floor(
    attempt: int, base: float, cap: float, retry_after: float, seed: int
) -> None:
    """What the server asked for is never undercut, whatever the cap says."""
    asked = {"base": base, "cap": cap, "retry_after": retry_after, "rng": _seeded(seed)}
    wait = seconds_to_wait(attempt, **asked)
    window = min(cap, base * 2 ** min(attempt - 1, 100))
    assert retry_after <= wait <= (retry_after + max(window, retry_after / 4)) * (1 + 1e-9)


def test_clients_that_were_told_the_same_moment_do_not_come_back_in_it() -> None:
    """A minute's Retry-After is spread over a further quarter of a minute."""
    waits = sorted(seconds_to_wait(1, base=0.1, cap=5, retry_after=60) for _ in range(1000))
    assert waits[0] >= 60
    assert 12 < waits[-1] - waits[0] <= 15
    assert max(later - one for one, later in pairwise(waits)) < 1


@pytest.mark.parametrize("broken", [-5.0, float("nan")])
def test_a_senseless_retry_after_is_no_reason_to_fail(broken: float) -> None:
    """A server that asks for a time in the past is tried after the usual wait."""
    assert 0 <= seconds_to_wait(1, base=1, cap=60, retry_after=broken) <= 1


def test_forked_workers_do_not_wait_equally_long() -> None:
    """Workers forked from one parent draw different waits: a seed in common would be a herd."""
    seconds_to_wait(1, base=1, cap=60)
    drawn = set()
    for _ in range(3):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.write(write, repr(seconds_to_wait(1, base=1, cap=60)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        drawn.add(os.read(read, 100))
        os.close(read)
        os.close(write)
    assert len(drawn) == 3
