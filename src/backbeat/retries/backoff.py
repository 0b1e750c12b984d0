"""How long to wait before the next attempt."""

from __future__ import annotations

import math
from random import Random, SystemRandom

__all__ = ["seconds_to_wait"]

# forked workers share the state of any other generator, and would all wait equally long
_RNG = SystemRandom()


def seconds_to_wait(
    attempt: int,
    *,
    base: float,
    cap: float,
    retry_after: float | None = None,
    rng: Random = _RNG,
) -> float:
    """Full jitter: anything between nothing and an exponentially growing window.

    Spreading over the whole window drains a crowd of clients fastest (Brooker, "Exponential
    Backoff And Jitter", AWS Architecture Blog, 2015). A server's Retry-After (RFC 9110, 10.2.3)
    is the floor on which the jitter is put; its window is then at least a quarter of that time,
    so that clients which were all told the same moment do not come back in it.

    Args:
        attempt: The attempt that failed, counting from 1.
        base: Window after the first attempt, in seconds; it doubles with each attempt.
        cap: Largest window, in seconds.
        retry_after: Seconds that the server asked to wait.
        rng: Source of chance.
    """
    window = min(cap, math.ldexp(base, min(attempt, 64) - 1))
    if retry_after is None:
        return rng.uniform(0.0, window)
    floor = max(0.0, retry_after)
    return floor + rng.uniform(0.0, max(window, floor / 4))
