"""How many requests a server gets at a time: more while it answers, fewer while it cannot."""

from __future__ import annotations

import asyncio
from collections import deque

from backbeat.errors import Overloaded

__all__ = ["Limit"]

_AT_FIRST = 16.0
_BACK_OFF = 0.7


class Limit:
    """Additive increase, multiplicative decrease (Chiu and Jain 1989); used by one event loop.

    A server that is full or does not answer gets seven tenths of what it had, once for all the
    requests that were under way then; a window of requests that went well adds one.

    Args:
        most: Requests at a time, at most.
    """

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._limit = min(_AT_FIRST, self._most)
        self._used = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sent = 0
        self._cut_at = 0

    @property
    def now(self) -> int:
        """Requests at a time as things are."""
        return int(self._limit)

    async def enter(self, seconds: float) -> int:
        """Wait for a place; returns the request's number, for `leave`.

        Raises:
            Overloaded: None was free in time; a retry can help.
        """
        if self._used >= self.now or self._waiting:
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                async with asyncio.timeout(seconds):
                    await place
            except BaseException as error:
                if place.done() and not place.cancelled():
                    self._used -= 1  # the place was given to who is gone
                    self._hand_on()
                if isinstance(error, TimeoutError):
                    raise Overloaded(
                        f"None of {self.now} places for a request got free in {seconds:.3g} s.",
                        hint="give the call more time, or the server more capacity",
                    ) from None
                raise
        else:
            self._used += 1
        self._sent += 1
        return self._sent

    def leave(self, number: int, *, too_much: bool) -> None:
        """Give the place back.

        Args:
            number: What `enter` gave.
            too_much: The server was full, or did not answer in time.
        """
        self._used -= 1
        if not too_much:
            self._limit = min(self._most, self._limit + 1 / self._limit)
        elif number > self._cut_at:
            self._limit = max(1.0, self._limit * _BACK_OFF)
            self._cut_at = self._sent
        self._hand_on()

    def _hand_on(self) -> None:
        while self._waiting and self._used < self.now:
            place = self._waiting.popleft()
            if not place.done():
                self._used += 1
                place.set_result(None)
