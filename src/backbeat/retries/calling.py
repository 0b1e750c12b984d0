"""One call to a server, tried again within its deadline and its endpoint's budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random, SystemRandom
from typing import TypeVar

from backbeat.errors import RetryableError
from backbeat.retries.backoff import seconds_to_wait
from backbeat.retries.budget import EndpointBudget

__all__ = ["acall", "call"]

Answer = TypeVar("Answer")
_RNG = SystemRandom()


class _Attempts:
    """Counts the attempts of one wanted call, and says how long to wait for the next."""

    def __init__(
        self, budget: EndpointBudget, *, seconds: float, attempts: int, base: float, cap: float
    ) -> None:
        self._budget = budget
        self._end = time.monotonic() + seconds
        self._left = attempts
        self._made = 0
        self._base = base
        self._cap = cap
        budget.earn()

    def begin(self) -> float:
        self._made += 1
        self._left -= 1
        return max(0.0, self._end - time.monotonic())

    def pause(self, error: RetryableError, rng: Random) -> float:
        if self._left <= 0:
            raise error
        wait = seconds_to_wait(
            self._made, base=self._base, cap=self._cap, retry_after=error.retry_after, rng=rng
        )
        if time.monotonic() + wait >= self._end:
            error.add_note("not tried again: the deadline comes first")
            raise error
        # asked last: nothing is paid for a retry that is not made
        if not self._budget.grant():
            error.add_note(f"not tried again: {self._budget.budget.name} is spent")
            raise error
        return wait


def call(
    function: Callable[[float], Answer],
    *,
    budget: EndpointBudget,
    deadline_seconds: float,
    attempts: int = 4,
    base: float = 0.1,
    cap: float = 5.0,
    rng: Random = _RNG,
) -> Answer:
    """Call a server; only a RetryableError is tried again.

    Args:
        function: The call, which must be safe to repeat. It is handed the seconds that are left,
            to use them as its time-out.
        budget: The endpoint's.
        deadline_seconds: For everything: attempts and waits.
        attempts: At most so many, the first included.
        base: Window of the first wait, in seconds.
        cap: Largest window of a wait, in seconds.
        rng: Source of chance.

    Raises:
        RetryableError: The last attempt's own, where attempts, time or budget are used up. It
            stays retryable: what is too much for this endpoint now can be well in some minutes.
    """
    course = _Attempts(budget, seconds=deadline_seconds, attempts=attempts, base=base, cap=cap)
    while True:
        try:
            return function(course.begin())
        except RetryableError as error:
            wait = course.pause(error, rng)
        time.sleep(wait)


async def acall(
    function: Callable[[float], Awaitable[Answer]],
    *,
    budget: EndpointBudget,
    deadline_seconds: float,
    attempts: int = 4,
    base: float = 0.1,
    cap: float = 5.0,
    rng: Random = _RNG,
) -> Answer:
    """`call`, for a function that is awaited; the budget is asked in a thread."""
    course = _Attempts(budget, seconds=deadline_seconds, attempts=attempts, base=base, cap=cap)
    while True:
        try:
            return await function(course.begin())
        except RetryableError as error:
            wait = await asyncio.to_thread(course.pause, error, rng)
        await asyncio.sleep(wait)
