"""The second commit: the effects have happened, so a database that fails over is waited for."""

from __future__ import annotations

import logging
import time
from itertools import count

from backbeat.errors import StorageFull, Unreachable
from backbeat.ports import Ending, Ledger
from backbeat.retries import seconds_to_wait

__all__ = ["finish_surely"]

_log = logging.getLogger(__name__)
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0


def finish_surely(ledger: Ledger, key: str, token: int, ending: Ending, *, seconds: float) -> None:
    """Record an ending, again and again with full jitter while the ledger is away.

    Saying the same ending twice is harmless, so that a commit whose answer was lost can be
    repeated.

    Args:
        ledger: Where it is recorded.
        key: The piece of work.
        token: The attempt's fencing token.
        ending: How it ended.
        seconds: The lease's length; after as long the error goes to the orchestrator, whose retry
            finds the effects by their ids.

    Raises:
        FencedOut: A later attempt has taken over.
        Unreachable: The ledger stayed away.
        StorageFull: Its disk stayed full.
    """
    end = time.monotonic() + seconds
    for attempt in count(1):
        try:
            ledger.finish(key, token, ending)
        except (Unreachable, StorageFull) as error:
            wait = seconds_to_wait(attempt, base=_FIRST_PAUSE, cap=_LONGEST_PAUSE)
            if time.monotonic() + wait > end:
                raise
            _log.warning("the ending is not recorded yet, trying again: %s", error)
            time.sleep(wait)
        else:
            return
