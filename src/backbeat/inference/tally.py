"""What a batch of calls came to: requests, time, tokens and money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from backbeat.inference.prediction import Provenance
from backbeat.inference.prices import Prices
from backbeat.telemetry.calls import BREAKER_STATES

__all__ = ["Tally"]

_KEPT = 100_000


class Tally:
    """A running count; its numbers become a step's metrics."""

    def __init__(self, prices: Prices | None = None) -> None:
        self._prices = prices or Prices()
        self.calls = 0
        self.attempts = 0
        self.fallbacks = 0
        self.seconds = 0.0
        self.cost = 0.0
        self.usage: Counter[str] = Counter()
        self.breaker = "closed"
        self._times: list[float] = []

    def add(
        self, *, seconds: float, attempts: int, usage: Mapping[str, int], fallback: bool
    ) -> float:
        """Count an answered call; returns what it cost."""
        cost = self._prices.cost(calls=1, seconds=seconds, usage=usage)
        self.calls += 1
        self.attempts += attempts
        self.fallbacks += fallback
        self.seconds += seconds
        self.cost += cost
        self.usage.update(usage)
        if len(self._times) < _KEPT:
            self._times.append(seconds)
        return cost

    def count(self, origin: Provenance) -> float:
        """Count the call that an answer comes from; returns what it cost."""
        return self.add(
            seconds=origin.seconds,
            attempts=origin.attempts,
            usage=origin.usage,
            fallback=bool(origin.instead_of),
        )

    def metrics(self) -> dict[str, float]:
        """Numbers worth plotting: calls, retries, tokens, cost, and quantiles of seconds.

        `breaker` is its state when the last answer came: 0 closed, 0.5 half-open, 1 open.
        """
        found: dict[str, float] = {
            "calls": self.calls,
            "retries": self.attempts - self.calls,
            "fallbacks": self.fallbacks,
            "cost": self.cost,
            "breaker": BREAKER_STATES[self.breaker],
            **self.usage,
        }
        times = sorted(self._times)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            if times:
                found[f"seconds.{name}"] = times[min(len(times) - 1, int(share * len(times)))]
        return found
