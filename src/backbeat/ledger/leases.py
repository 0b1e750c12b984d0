"""How long a lease still holds, also when a clock has jumped."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from backbeat.ledger.times import from_text

__all__ = ["Left", "lease_left"]

_DEFAULT_SECONDS = 120.0  # a worker of schema 1 did not say how long its lease was


class Left(NamedTuple):
    """What is left of a lease.

    Args:
        seconds: Until its end; nothing or less where it has ended.
        cut: Whether it lay further ahead than it was long.
    """

    seconds: float
    cut: bool


def lease_left(until: str, length: float | None, at: datetime) -> Left:
    """What is left of a lease at a moment.

    A lease that ends later than its own length from now was written before the clock was set back.
    It is cut to its length: a living holder prolongs it, a dead one keeps others waiting no longer.
    A clock that was set ahead ends leases early; the fencing token then keeps the holder from
    writing.

    Args:
        until: Its end, as the ledger stores moments.
        length: Its length in seconds, where that is known.
        at: Now, by the ledger's clock.
    """
    seconds = (from_text(until) - at).total_seconds()
    longest = _DEFAULT_SECONDS if length is None else length
    return Left(min(seconds, longest), seconds > longest)
