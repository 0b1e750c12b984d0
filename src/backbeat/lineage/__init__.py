"""OpenLineage for every step: what was read, what was written, by which run of which job."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.lineage.events import lineage_event
    from backbeat.lineage.files import FileSink
    from backbeat.lineage.http import HttpSink

__all__ = ["FileSink", "HttpSink", "lineage_event"]

_HOMES = {
    "FileSink": "backbeat.lineage.files",
    "HttpSink": "backbeat.lineage.http",
    "lineage_event": "backbeat.lineage.events",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.lineage' has no attribute {name!r}")
