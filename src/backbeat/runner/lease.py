"""The heartbeat that keeps a lease while a step performs: one thread for all leases."""

from __future__ import annotations

import logging
import os
import threading
import time
from types import TracebackType
from typing import Self

from backbeat.errors import BackbeatError, FencedOut
from backbeat.ports import Ledger

__all__ = ["LEASE_SECONDS", "Heartbeat"]

LEASE_SECONDS = 60.0
_log = logging.getLogger(__name__)


class Heartbeat:
    """Prolongs a lease whenever a third of it has passed, for the length of a `with` block.

    Args:
        ledger: Who holds the lease.
        key: The piece of work.
        token: The fencing token.
        seconds: The lease's length.
    """

    def __init__(self, ledger: Ledger, key: str, token: int, *, seconds: float) -> None:
        self._ledger = ledger
        self._key = key
        self._token = token
        self._seconds = seconds
        self._lost: FencedOut | None = None
        self.next_beat = time.monotonic() + seconds / 3

    def __enter__(self) -> Self:
        _heart.keep(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _heart.drop(self)

    @property
    def lost(self) -> bool:
        """Whether a later attempt is known to have taken over."""
        return self._lost is not None

    def ensure_current(self) -> None:
        """Ask the ledger now, before an effect.

        Raises:
            FencedOut: A later attempt has taken over.
        """
        if self._lost is not None:
            raise self._lost
        self._ledger.heartbeat(self._key, self._token, lease_seconds=self._seconds)

    def beat(self) -> None:
        """Prolong the lease; what goes wrong is kept or logged, for nobody is there to catch it."""
        self.next_beat = time.monotonic() + self._seconds / 3
        try:
            self._ledger.heartbeat(self._key, self._token, lease_seconds=self._seconds)
        except FencedOut as error:
            self._lost = error
        except BackbeatError as error:
            _log.warning("the lease could not be prolonged, trying again: %s", error)


class _Heart:
    """The thread behind all heartbeats of a process; a step of milliseconds never wakes it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._kept: set[Heartbeat] = set()
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None

    def keep(self, lease: Heartbeat) -> None:
        with self._changed:
            self._kept.add(lease)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="backbeat-lease", daemon=True
                )
                self._thread.start()
            elif lease.next_beat < self._wakes_at:
                self._changed.notify()

    def drop(self, lease: Heartbeat) -> None:
        with self._changed:
            self._kept.discard(lease)

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._due()
                while not due:
                    self._changed.wait(self._pause())
                    due = self._due()
            for lease in due:  # outside the lock: a beat waits for the database
                lease.beat()

    def _due(self) -> list[Heartbeat]:
        now = time.monotonic()
        return [lease for lease in self._kept if not lease.lost and lease.next_beat <= now]

    def _pause(self) -> float | None:
        beats = [lease.next_beat for lease in self._kept if not lease.lost]
        self._wakes_at = min(beats, default=float("inf"))
        return max(0.0, self._wakes_at - time.monotonic()) if beats else None


_heart = _Heart()


def _forget() -> None:
    # the thread does not cross a fork, and the lock may have been held
    global _heart  # noqa: PLW0603 - the child needs a heart of its own
    _heart = _Heart()


os.register_at_fork(after_in_child=_forget)
