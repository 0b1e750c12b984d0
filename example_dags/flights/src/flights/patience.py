"""A player outlives the parts that it plays with: what is away now is asked again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["patiently"]

T = TypeVar("T")
_PAUSE_SECONDS = 0.5


def patiently(ask: Callable[[], T], *, on: type[Exception], seconds: float = 120) -> T:
    """Ask until there is an answer.

    Args:
        ask: What is asked.
        on: The error that says that somebody is away, and will be back.
        seconds: How long it may stay away; then its error is raised.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except on:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE_SECONDS)
