"""The service before a ledger, for workers without a route to its database."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.service.app import ledger_app
    from backbeat.service.credentials import Scope, Token, TokenBook
    from backbeat.service.issuing import issue, own_ledger, revoke
    from backbeat.service.listening import Certificate, serve_ledger
    from backbeat.service.tokens import LedgerTokens

__all__ = [
    "Certificate",
    "LedgerTokens",
    "Scope",
    "Token",
    "TokenBook",
    "issue",
    "ledger_app",
    "own_ledger",
    "revoke",
    "serve_ledger",
]

_HOMES = {
    "Certificate": "backbeat.service.listening",
    "LedgerTokens": "backbeat.service.tokens",
    "Scope": "backbeat.service.credentials",
    "Token": "backbeat.service.credentials",
    "TokenBook": "backbeat.service.credentials",
    "issue": "backbeat.service.issuing",
    "ledger_app": "backbeat.service.app",
    "own_ledger": "backbeat.service.issuing",
    "revoke": "backbeat.service.issuing",
    "serve_ledger": "backbeat.service.listening",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.service' has no attribute {name!r}")
