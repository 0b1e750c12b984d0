"""One attempt at a time at an effect that several workflow runs share by its content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from backbeat.errors import UnmetNeed
from backbeat.step import StepContext

__all__ = ["exclusive"]

_LOCK_SECONDS = 120.0


@contextmanager
def exclusive(ctx: StepContext, effect_id: str) -> Iterator[None]:
    """Hold an effect's lock for the length of a block; look for the effect again inside it.

    The claim keeps two attempts of one workflow run apart, not two runs that do the very same.
    At rung 0 there is no lock: both may act, and what they made stays.

    Raises:
        LeaseHeld: Another run performs the same effect right now; a retry will find it done.
    """
    with ExitStack() as held:
        with suppress(UnmetNeed):
            lock = ctx.ledger.lock(f"effect:{effect_id}", owner=effect_id, seconds=_LOCK_SECONDS)
            held.enter_context(lock)
        yield
