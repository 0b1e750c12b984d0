"""Alerts: what people are told when a check found something, once for a cause."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.alerts.alert import Alert, alert_of
    from backbeat.alerts.once import Told

__all__ = ["Alert", "Told", "alert_of"]

_HOMES = {
    "Alert": "backbeat.alerts.alert",
    "Told": "backbeat.alerts.once",
    "alert_of": "backbeat.alerts.alert",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.alerts' has no attribute {name!r}")
