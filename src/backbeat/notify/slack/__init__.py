"""Slack: messages with buttons, and the clicks on them over Socket Mode."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.notify.slack.channel import SlackChannel
    from backbeat.notify.slack.clicks import Cast, RefusedClick
    from backbeat.notify.slack.desk import SlackDesk

__all__ = ["Cast", "RefusedClick", "SlackChannel", "SlackDesk"]

_HOMES = {
    "Cast": "backbeat.notify.slack.clicks",
    "RefusedClick": "backbeat.notify.slack.clicks",
    "SlackChannel": "backbeat.notify.slack.channel",
    "SlackDesk": "backbeat.notify.slack.desk",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.notify.slack' has no attribute {name!r}")
