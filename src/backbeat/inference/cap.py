"""A hard cap on calls and money that counts across attempts and mapped tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from backbeat.errors import BudgetSpent
from backbeat.ports import Budget
from backbeat.retries.budget import Spends

__all__ = ["Cap"]

_FETCHED = 20
_MOST_FETCHED = 64
# taken before a call whose price is not known yet: of a cap that is spent there is less left
_LEAST = 1e-6


class Cap:
    """What may still be sent; kept in the ledger, or in this process where there is none.

    Calls are fetched from the shared count some at a time, at most a twentieth of the cap; what a
    killed worker had fetched and not used counts as used. Money is taken before a call as much as
    the dearest call so far has cost, and made good after it: so the cap can be passed by what the
    calls that are under way cost more than that.

    Args:
        name: What it is for: the workflow run and the task, without a map index.
        shared: Opens what the workers share.
        max_calls: Requests that may be sent, retries included; None for no cap.
        max_cost: Money that may be spent; None for no cap.
    """

    def __init__(
        self,
        name: str,
        shared: Callable[[], Spends],
        *,
        max_calls: int | None = None,
        max_cost: float | None = None,
    ) -> None:
        self._shared = shared
        self._calls = Budget(f"calls:{name}:{max_calls}", capacity=max_calls or 0)
        self._money = Budget(f"cost:{name}:{max_cost}", capacity=max_cost or 0.0)
        self._max_calls, self._max_cost = max_calls, max_cost
        self._fetched = 0
        self._dearest = _LEAST
        self._lock = asyncio.Lock()

    async def before_call(self) -> None:
        """Count one more request.

        Raises:
            BudgetSpent: The cap is reached; nothing was sent.
        """
        if self._max_cost is not None and not await self._spend(self._money, self._dearest):
            raise _reached("max_cost", self._max_cost)
        if self._max_calls is None:
            return
        async with self._lock:
            if not self._fetched:
                self._fetched = await self._fetch(self._max_calls)
            if not self._fetched:
                raise _reached("max_calls", self._max_calls)
            self._fetched -= 1

    async def settle(self, cost: float) -> None:
        """Say what a call has cost."""
        if self._max_cost is None:
            return
        over = cost - self._dearest
        self._dearest = max(self._dearest, cost)
        if over <= 0:
            await self._spend(self._money, 0.0, earned=-over)
        elif not await self._spend(self._money, over):
            # there is less left than that: take what there is, so that nothing more is sent
            await self._empty(over)

    async def give_back(self) -> None:
        """Give back calls that were fetched and not made."""
        fetched, self._fetched = self._fetched, 0
        if fetched:
            await self._spend(self._calls, 0.0, earned=float(fetched))

    async def _fetch(self, most: int) -> int:
        wanted = max(1, min(_MOST_FETCHED, most // _FETCHED))
        while wanted:
            if await self._spend(self._calls, float(wanted)):
                return wanted
            wanted //= 2
        return 0

    async def _empty(self, over: float) -> None:
        part = over / 2
        while part > 1e-9:  # noqa: PLR2004 - less than any price
            if not await self._spend(self._money, part):
                part /= 2

    async def _spend(self, budget: Budget, cost: float, earned: float = 0.0) -> bool:
        # not the forgiving `spend`: a cap that cannot be counted is no cap
        ledger = self._shared()
        return await asyncio.to_thread(ledger.spend, budget, cost=cost, earned=earned)


def _reached(name: str, most: float) -> BudgetSpent:
    return BudgetSpent(
        f"The cap {name}={most:g} of this task is reached, over all of its attempts.",
        hint=f"raise {name} if the rest is worth it; what was answered is kept",
    )
