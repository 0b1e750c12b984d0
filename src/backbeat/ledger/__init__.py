"""The ledger: claims with fencing, append-only streams, the audit log and the outbox, in SQL."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.ledger.address import open_ledger
    from backbeat.ledger.postgres import PostgresLedger
    from backbeat.ledger.remote import RemoteLedger
    from backbeat.ledger.sqlite import SqliteLedger

__all__ = ["PostgresLedger", "RemoteLedger", "SqliteLedger", "open_ledger"]

_HOMES = {
    "PostgresLedger": "backbeat.ledger.postgres",
    "RemoteLedger": "backbeat.ledger.remote",
    "SqliteLedger": "backbeat.ledger.sqlite",
    "open_ledger": "backbeat.ledger.address",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.ledger' has no attribute {name!r}")
