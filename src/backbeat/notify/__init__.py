"""Notifications: what people are told, through the channels that they have; never fatal."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.notify.channels import Channels, Notifier
    from backbeat.notify.notice import Fact, Notice, message_of
    from backbeat.notify.settings import NotifySettings, read_settings
    from backbeat.notify.signature import verify_webhook
    from backbeat.notify.sinks import notify_sinks

__all__ = [
    "Channels",
    "Fact",
    "Notice",
    "Notifier",
    "NotifySettings",
    "message_of",
    "notify_sinks",
    "read_settings",
    "verify_webhook",
]

_HOMES = {
    "Channels": "backbeat.notify.channels",
    "Fact": "backbeat.notify.notice",
    "Notice": "backbeat.notify.notice",
    "Notifier": "backbeat.notify.channels",
    "NotifySettings": "backbeat.notify.settings",
    "message_of": "backbeat.notify.notice",
    "notify_sinks": "backbeat.notify.sinks",
    "read_settings": "backbeat.notify.settings",
    "verify_webhook": "backbeat.notify.signature",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.notify' has no attribute {name!r}")
