"""The breaker: who has seen too many failures sends nothing, and one worker tries again."""

from __future__ import annotations

import asyncio
import uuid
from random import Random

import pytest

from backbeat.errors import Overloaded, Unreachable
from backbeat.inference.breaker import Breaker
from backbeat.inference.resilience import Resilience
from backbeat.ports import Budget
from backbeat.retries.local import LocalBuckets


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Shared:
    """What the workers of a test share, and how often they have asked for it."""

    def __init__(self, clock: Clock) -> None:
        self._buckets = LocalBuckets(clock)
        self.asked = 0

    def __call__(self) -> Shared:
        return self

    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        self.asked += 1
        return self._buckets.spend(budget, cost=cost, earned=earned)


POLICY = Resilience(breaker_failures=3, breaker_rate=0.5, breaker_seconds=10)


def _workers(count: int, policy: Resilience = POLICY) -> tuple[Clock, Shared, list[Breaker]]:
    clock = Clock()
    shared = Shared(clock)
    origin = f"http://{uuid.uuid4().hex}:80"
    workers = [
        Breaker(origin, policy, shared, clock=clock, rng=Random(1))  # noqa: S311 - repeatable
        for _ in range(count)
    ]
    return clock, shared, workers


async def _fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        await breaker.failed(trying=await breaker.admit(1))


def test_it_opens_after_too_many_failures_and_says_when_to_come_back() -> None:
    """Three failures are borne, with the fourth nothing more is sent."""

    async def run() -> None:
        _, _, (breaker,) = _workers(1)
        await _fail(breaker, 3)
        assert breaker.state == "closed"
        await _fail(breaker, 1)
        assert breaker.state == "open"
        with pytest.raises(Unreachable, match="its breaker is open") as caught:
            await breaker.admit(1)
        assert 0 < (caught.value.retry_after or 0) <= 10

    asyncio.run(run())


def test_calls_that_go_well_make_up_for_failures_and_ask_nobody() -> None:
    """Below its share of failures it stays closed for ever; only failures touch the ledger."""

    async def run() -> None:
        _, shared, (breaker,) = _workers(1)
        for _ in range(200):
            await _fail(breaker, 1)
            for _ in range(2):
                await breaker.admit(1)
                breaker.succeeded()
        assert breaker.state == "closed"
        assert shared.asked == 200

    asyncio.run(run())


def test_another_worker_learns_with_its_first_failure() -> None:
    """What one worker has seen, the next one need not find out by failing as often."""

    async def run() -> None:
        _, _, (first, second) = _workers(2)
        await _fail(first, 4)
        assert second.state == "closed"
        await _fail(second, 1)
        assert second.state == "open"

    asyncio.run(run())


def test_one_call_of_all_workers_tries_and_its_success_closes() -> None:
    """After the time one worker gets the permit; when it went well the next one follows at once."""

    async def run() -> None:
        clock, _, (first, second) = _workers(2)
        await _fail(first, 4)
        await _fail(second, 1)
        clock.now += 11
        assert await first.admit(1)
        assert first.state == "half-open"
        with pytest.raises(Unreachable):
            await second.admit(0.001)
        await first.recovered()
        first.succeeded()
        assert first.state == "closed"
        assert not await first.admit(1)
        clock.now += 3
        assert await second.admit(1)

    asyncio.run(run())


def test_a_try_that_fails_opens_it_again() -> None:
    """Nothing more is sent for another span."""

    async def run() -> None:
        clock, _, (breaker,) = _workers(1)
        await _fail(breaker, 4)
        clock.now += 11
        await breaker.failed(trying=await breaker.admit(1))
        assert breaker.state == "open"
        clock.now += 1
        with pytest.raises(Unreachable):
            await breaker.admit(1)

    asyncio.run(run())


def test_others_wait_for_the_call_that_tries() -> None:
    """They are sent as soon as it went well, and only then."""

    async def run() -> list[bool]:
        clock, _, (breaker,) = _workers(1)
        await _fail(breaker, 4)
        clock.now += 11
        assert await breaker.admit(1)
        waiting = [asyncio.ensure_future(breaker.admit(1)) for _ in range(5)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        await breaker.recovered()
        return await asyncio.gather(*waiting)

    assert asyncio.run(run()) == [False] * 5


def test_a_call_that_is_given_up_while_it_tries_lets_another_try() -> None:
    """A cancelled try is no verdict about the server, and blocks nobody."""

    async def run() -> bool:
        clock, _, (breaker,) = _workers(1)
        await _fail(breaker, 4)
        clock.now += 11
        assert await breaker.admit(1)
        breaker.abandoned()
        clock.now += 11
        return await breaker.admit(1)

    assert asyncio.run(run())


def test_a_ledger_that_does_not_answer_is_no_failure_of_the_call() -> None:
    """The worker goes on with buckets of its own."""

    class Silent:
        def __call__(self) -> Silent:
            return self

        def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
            raise Unreachable("the database is gone")

    async def run() -> str:
        breaker = Breaker(f"http://{uuid.uuid4().hex}:80", POLICY, Silent())
        await _fail(breaker, 4)
        return breaker.state

    assert asyncio.run(run()) == "open"


@pytest.mark.parametrize(
    ("error", "status", "at_once", "later"),
    [
        (Unreachable("gone"), 0, True, True),
        (Unreachable("broken"), 500, True, True),
        (Overloaded("unavailable"), 503, False, True),
        (Overloaded("unavailable"), 14, False, True),
        (Overloaded("starting", retry_after=5), 503, False, False),
        (Overloaded("starting", retry_after=0), 14, False, False),
        (Overloaded("too many requests"), 429, False, False),
        (Overloaded("no place was free"), 0, False, False),
    ],
)
def test_who_asks_for_patience_is_not_ill(
    error: Unreachable, status: int, *, at_once: bool, later: bool
) -> None:
    """A bare 503 counts where there has been no good answer for long; a 429 never does."""
    clock, _, (breaker,) = _workers(1)
    clock.now += 4
    breaker.succeeded()
    clock.now += 4
    assert breaker.counts(error, status) is at_once
    clock.now += 2
    assert breaker.counts(error, status) is later
