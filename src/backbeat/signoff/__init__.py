"""Sign-off: people decide, by rules, on exactly what they were shown; nothing waits meanwhile."""

from __future__ import annotations

from backbeat.signoff.book import (
    open_request,
    read_request,
    requests,
    settle_due,
    vote,
    withdraw,
)
from backbeat.signoff.request import Decision, Request, Rules, State, Vote

__all__ = [
    "Decision",
    "Request",
    "Rules",
    "State",
    "Vote",
    "open_request",
    "read_request",
    "requests",
    "settle_due",
    "vote",
    "withdraw",
]
