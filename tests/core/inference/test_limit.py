"""How many requests a server gets at a time."""

from __future__ import annotations

import asyncio

import pytest

from backbeat.errors import Overloaded
from backbeat.inference.limit import Limit


def test_no_more_are_under_way_than_the_most() -> None:
    """However many want in, the policy's number is never passed."""

    async def run() -> int:
        limit, inside, highest = Limit(5), 0, 0

        async def one() -> None:
            nonlocal inside, highest
            place = await limit.enter(10)
            inside += 1
            highest = max(highest, inside)
            await asyncio.sleep(0)
            inside -= 1
            limit.leave(place, too_much=False)

        await asyncio.gather(*(one() for _ in range(200)))
        return highest

    assert asyncio.run(run()) == 5


def test_a_full_server_gets_less_once_for_all_that_was_under_way() -> None:
    """Ten refusals of one moment are one sign, not ten."""

    async def run() -> tuple[int, int, int]:
        limit = Limit(100)
        before = limit.now
        places = [await limit.enter(1) for _ in range(10)]
        for place in places:
            limit.leave(place, too_much=True)
        first = limit.now
        limit.leave(await limit.enter(1), too_much=True)
        return before, first, limit.now

    before, first, second = asyncio.run(run())
    assert first == int(before * 0.7)
    assert second == int(before * 0.7 * 0.7)


def test_a_server_that_answers_gets_more_again() -> None:
    """The limit comes back, a little with each answer, up to the most."""

    async def run() -> tuple[int, int]:
        limit = Limit(20)
        for _ in range(8):
            limit.leave(await limit.enter(1), too_much=True)
        low = limit.now
        for _ in range(1000):
            limit.leave(await limit.enter(1), too_much=False)
        return low, limit.now

    assert asyncio.run(run()) == (1, 20)


def test_who_waits_too_long_is_told_so() -> None:
    """Waiting for a place counts as time of the call."""

    async def run() -> None:
        limit = Limit(1)
        await limit.enter(1)
        with pytest.raises(Overloaded, match="1 places"):
            await limit.enter(0.01)

    asyncio.run(run())


def test_a_place_of_somebody_who_is_gone_is_not_lost() -> None:
    """Cancelled waiters neither keep a place nor block those behind them."""

    async def run() -> int:
        limit = Limit(1)
        first = await limit.enter(1)
        gone = asyncio.ensure_future(limit.enter(5))
        behind = asyncio.ensure_future(limit.enter(5))
        await asyncio.sleep(0)
        gone.cancel()
        limit.leave(first, too_much=False)
        return await asyncio.wait_for(behind, 1)

    assert asyncio.run(run()) == 2


def test_a_place_given_in_the_moment_of_giving_up_is_handed_on() -> None:
    """Who is cancelled after the place was given hands it to the next."""

    async def run() -> int:
        limit = Limit(1)
        first = await limit.enter(1)
        gone = asyncio.ensure_future(limit.enter(5))
        behind = asyncio.ensure_future(limit.enter(5))
        await asyncio.sleep(0)
        limit.leave(first, too_much=False)
        gone.cancel()
        return await asyncio.wait_for(behind, 1)

    assert asyncio.run(run()) == 2
