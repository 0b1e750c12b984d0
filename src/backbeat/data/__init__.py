"""Data at rest: the store on a folder or a bucket, and tabular files opened with their digests."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.data.address import open_store
    from backbeat.data.folder import FolderStore
    from backbeat.data.tabular import (
        open_dataset,
        pinned_digest,
        reading,
        references,
        require_columns,
    )

__all__ = [
    "FolderStore",
    "open_dataset",
    "open_store",
    "pinned_digest",
    "reading",
    "references",
    "require_columns",
]

_HOMES = {
    "FolderStore": "backbeat.data.folder",
    "open_dataset": "backbeat.data.tabular",
    "open_store": "backbeat.data.address",
    "pinned_digest": "backbeat.data.tabular",
    "reading": "backbeat.data.tabular",
    "references": "backbeat.data.tabular",
    "require_columns": "backbeat.data.tabular",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.data' has no attribute {name!r}")
