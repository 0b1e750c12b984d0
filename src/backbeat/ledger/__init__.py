"""The ledger: claims with fencing, append-only streams, the audit log and the outbox, in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.ledger.sqlite import SqliteLedger

__all__ = ["SqliteLedger"]


def __getattr__(name: str) -> Any:
    if name == "SqliteLedger":
        from backbeat.ledger.sqlite import SqliteLedger

        return SqliteLedger
    raise AttributeError(f"module 'backbeat.ledger' has no attribute {name!r}")
