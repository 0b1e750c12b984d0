"""Lineage as files in the store: one event a file, named by its id, so that a repeat is one."""

from __future__ import annotations

from backbeat.canonical import canonical_bytes
from backbeat.ports import Message, Store

__all__ = ["FileSink"]


class FileSink:
    """Writes every message of the outbox as `<folder>/<message id>.json`.

    Args:
        store: Where.
        folder: Key prefix, such as `lineage`.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder

    def deliver(self, message: Message) -> None:
        """Write the message; raises StorageFull, after which the outbox tries again."""
        name = message.id.replace(":", "-")
        self._store.write(f"{self._folder}/{name}.json", canonical_bytes(dict(message.body)))
