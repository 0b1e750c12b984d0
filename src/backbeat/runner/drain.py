"""A bounded part of the outbox leaves after each finish, without making the step wait."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time

from backbeat.errors import BackbeatError
from backbeat.platform import Platform

__all__ = ["drain_soon", "drain_wait"]

_LIMIT = 100
_PAUSE_SECONDS = 1.0
_EXIT_SECONDS = 2.0
_log = logging.getLogger(__name__)
_busy = threading.Lock()
_last: dict[int, float] = {}
_threads: list[threading.Thread] = []


def drain_soon(platform: Platform) -> None:
    """Start a drain in the background unless one runs or ran within the last second.

    What stays leaves with a later finish, with `backbeat tick`, or at the process's end.
    """
    now = time.monotonic()
    recently = now - _last.get(os.getpid(), -_PAUSE_SECONDS) < _PAUSE_SECONDS
    if recently or not platform.sinks or not _busy.acquire(blocking=False):
        return
    _last[os.getpid()] = now
    thread = threading.Thread(target=_drain, args=(platform,), name="backbeat-outbox", daemon=True)
    _threads[:] = [thread]
    thread.start()


def drain_wait() -> None:
    """Give a running drain a moment before the process ends."""
    for thread in _threads:
        thread.join(_EXIT_SECONDS)


def _drain(platform: Platform) -> None:
    try:
        platform.ledger.drain(platform.sinks, limit=_LIMIT)
    except BackbeatError as error:
        _log.warning("the outbox was not drained, `backbeat tick` will: %s", error)
    finally:
        _busy.release()


def _forget() -> None:
    # a lock that was held at the fork would stay held in the child for ever
    global _busy  # noqa: PLW0603 - the child needs a lock of its own
    _busy = threading.Lock()
    _threads.clear()


atexit.register(drain_wait)
os.register_at_fork(after_in_child=_forget)
