"""The outbox leaves after each finish, without making the step wait."""

from __future__ import annotations

import atexit
import logging
import os
import threading

from backbeat.errors import BackbeatError
from backbeat.platform import Platform

__all__ = ["drain_soon", "drain_wait"]

_LIMIT = 100
_PAUSE_SECONDS = 1.0
_EXIT_SECONDS = 2.0
_log = logging.getLogger(__name__)


class _Drain:
    """One thread at a time that drains what has finished, with a pause between two rounds."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._wanted: list[Platform] = []
        self._running: threading.Thread | None = None
        self._hurried = False

    def want(self, platform: Platform) -> None:
        with self._change:
            if not any(waiting is platform for waiting in self._wanted):
                self._wanted.append(platform)
            if self._running is None:
                self._running = threading.Thread(
                    target=self._run, name="backbeat-outbox", daemon=True
                )
                self._running.start()

    def wait(self, seconds: float) -> bool:
        with self._change:
            self._hurried = True
            self._change.notify_all()
            ended = self._change.wait_for(lambda: self._running is None, seconds)
            self._hurried = False
        return ended

    def _run(self) -> None:
        try:
            while platforms := self._take():
                for platform in platforms:
                    _drain_one(platform)
                with self._change:
                    self._change.wait_for(lambda: self._hurried, _PAUSE_SECONDS)
        finally:
            with self._change:
                if self._running is threading.current_thread():
                    self._running = None
                self._change.notify_all()

    def _take(self) -> list[Platform]:
        with self._change:
            platforms, self._wanted = self._wanted, []
            if not platforms:
                self._running = None  # under the lock: who comes next starts another
            return platforms


def _drain_one(platform: Platform) -> None:
    try:
        platform.ledger.drain(platform.sinks, limit=_LIMIT)
    except BackbeatError as error:
        _log.warning("the outbox was not drained, `backbeat tick` will: %s", error)


def drain_soon(platform: Platform) -> None:
    """Drain the outbox in the background: at once, or a second after the drain before.

    A part of a hundred messages each time; what stays leaves with a later finish or with
    `backbeat tick`.
    """
    if platform.sinks:
        _drain.want(platform)


def drain_wait(seconds: float = _EXIT_SECONDS) -> bool:
    """Let what was wanted leave now, before the process ends.

    Args:
        seconds: How long it may take.

    Returns:
        Whether it has ended.
    """
    return _drain.wait(seconds)


def _begin_anew() -> None:
    # a lock that was held at the fork would stay held in the child for ever
    global _drain  # noqa: PLW0603 - the child needs one of its own
    _drain = _Drain()


_drain = _Drain()
atexit.register(drain_wait)
os.register_at_fork(after_in_child=_begin_anew)
