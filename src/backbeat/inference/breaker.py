"""A circuit breaker that all workers share, made of two token buckets of the ledger.

The first holds failures: each takes a token out, calls that went well put some in, and time fills
it within a minute. Who finds it empty opens: it sends nothing for some seconds. So a worker learns
with its own first failure what the others have seen. The second bucket holds one permit to try
again; time makes one for each such span, and a try that went well hands its own back, so that the
next worker need not wait. Calls that go well touch no ledger. The pattern is Nygard's ("Release
It!", 2007).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random, SystemRandom

from backbeat.errors import Overloaded, Unreachable
from backbeat.inference.resilience import Resilience
from backbeat.ports import Budget
from backbeat.retries.budget import Spends, spend
from backbeat.telemetry.calls import record_breaker

__all__ = ["Breaker"]

_WINDOW_SECONDS = 60.0
_RNG = SystemRandom()
# HTTP's and gRPC's "unavailable"
_UNAVAILABLE = frozenset({503, 14})
# so long a server may be full, or starting, without a good answer in between
_PATIENCE_SECONDS = 5.0


class Breaker:
    """Stands before one server; used by one event loop.

    Args:
        origin: The server, such as `http://host:8080`.
        policy: How many failures open it, and for how long.
        shared: Opens what the workers share; a process has its own buckets where there is none.
        clock: Seconds; never goes back.
        rng: Spreads the workers' tries.
    """

    def __init__(
        self,
        origin: str,
        policy: Resilience,
        shared: Callable[[], Spends],
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: Random = _RNG,
    ) -> None:
        self._origin = origin
        self._policy = policy
        self._shared = shared
        self._clock = clock
        self._rng = rng
        capacity = float(policy.breaker_failures)
        self._failures = Budget(
            f"breaker:{origin}", capacity=capacity, refill_per_second=capacity / _WINDOW_SECONDS
        )
        self._permits = Budget(
            f"probe:{origin}", capacity=1.0, refill_per_second=1 / policy.breaker_seconds
        )
        # at exactly this share of failures the bucket keeps its level
        self._worth = policy.breaker_rate / (1 - policy.breaker_rate)
        self._earned = 0.0
        self._answered_at = clock()
        self._opens_until: float | None = None
        self._trying: asyncio.Future[None] | None = None
        self.opened = 0
        """How often it has opened, tries that failed included."""

    @property
    def state(self) -> str:
        """`closed`, `open`, or `half-open` while one call tries."""
        if self._opens_until is None:
            return "closed"
        return "open" if self._trying is None else "half-open"

    async def admit(self, seconds: float) -> bool:
        """Wait until a call may be sent.

        Args:
            seconds: The call's time.

        Returns:
            Whether it is the one that tries: it must tell `succeeded` or `failed`.

        Raises:
            Unreachable: The breaker stays open for longer than the call has time.
        """
        end = self._clock() + seconds
        while self._opens_until is not None:
            if self._trying is not None:
                await self._until_tried(end)
                continue
            left = self._opens_until - self._clock()
            if left > 0:
                if self._opens_until >= end:
                    raise self._refusal(left)
                await asyncio.sleep(left)
                continue
            self._trying = asyncio.get_running_loop().create_future()
            if await self._spend(self._permits, cost=1.0):
                record_breaker(self._origin, "half-open")
                return True
            # another worker tries just now
            self._open(self._policy.breaker_seconds / 4)
        return False

    def counts(self, error: Unreachable, status: int) -> bool:
        """Whether a call that was not answered counts as failed.

        Who asks for patience is not ill: a full server (429), or one that says when it will be
        there again. A bare "unavailable" is also a proxy's word for a server that is gone: it
        counts when there has been no good answer for some seconds.

        Args:
            error: What the call came to.
            status: Of the server's answer; 0 where there was none.
        """
        if not isinstance(error, Overloaded):
            return True
        if status not in _UNAVAILABLE or error.retry_after is not None:
            return False
        return self._clock() - self._answered_at >= _PATIENCE_SECONDS

    def succeeded(self) -> None:
        """Count a call that the server answered."""
        self._answered_at = self._clock()
        self._earned = min(self._failures.capacity, self._earned + self._worth)

    async def recovered(self) -> None:
        """Close: the call that tried was answered."""
        self._opens_until = None
        record_breaker(self._origin, "closed")
        self._tried()
        self._earned = 0.0
        await self._spend(self._failures, cost=0.0, earned=self._failures.capacity)
        await self._spend(self._permits, cost=0.0, earned=1.0)

    async def failed(self, *, trying: bool) -> None:
        """Count a call that the server did not answer; opens where there were too many."""
        if trying:
            self._count()
            self._open(self._policy.breaker_seconds)
        elif self._opens_until is None:
            earned, self._earned = self._earned, 0.0
            if not await self._spend(self._failures, cost=1.0, earned=earned):
                self._count()
                self._open(self._policy.breaker_seconds)

    def _count(self) -> None:
        self.opened += 1
        record_breaker(self._origin, "open")

    def abandoned(self) -> None:
        """The call that tried was given up before it had an answer: another one may try."""
        if self._trying is not None:
            self._open(0.0)

    def _open(self, seconds: float) -> None:
        self._opens_until = self._clock() + self._rng.uniform(seconds / 2, seconds)
        self._tried()

    def _tried(self) -> None:
        trying, self._trying = self._trying, None
        if trying is not None and not trying.done():
            trying.set_result(None)

    async def _until_tried(self, end: float) -> None:
        assert self._trying is not None  # noqa: S101 - the caller has looked
        try:
            async with asyncio.timeout(max(0.0, end - self._clock())):
                await asyncio.shield(self._trying)
        except TimeoutError:
            raise self._refusal(self._policy.breaker_seconds) from None

    def _refusal(self, left: float) -> Unreachable:
        return Unreachable(
            f"Nothing is sent to {self._origin}: its breaker is open, too many calls have failed.",
            hint="look at the server; it is tried again by itself",
            retry_after=left,
        )

    async def _spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        return await asyncio.to_thread(spend, self._shared, budget, cost=cost, earned=earned)
