"""Token buckets of one process: rung 0, and whenever a ledger does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from backbeat.ports import Budget

__all__ = ["LocalBuckets", "spend_locally"]


class LocalBuckets:
    """What `Ledger.spend` promises, for the threads of one process.

    Args:
        clock: Seconds; never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._balances: dict[str, tuple[float, float]] = {}

    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        """Put `earned` tokens in, then take `cost` out if they are there.

        Args:
            budget: Which bucket; its first use finds it full.
            cost: Tokens to take; 0 only puts in.
            earned: Tokens to put in, never beyond the capacity.

        Returns:
            Whether the cost was paid.
        """
        with self._lock:
            now = self._clock()
            balance, since = self._balances.get(budget.name, (budget.capacity, now))
            given = balance + (now - since) * budget.refill_per_second + earned
            balance = min(budget.capacity, given)
            granted = balance >= cost
            self._balances[budget.name] = (balance - cost if granted else balance, now)
        return granted


spend_locally = LocalBuckets().spend
