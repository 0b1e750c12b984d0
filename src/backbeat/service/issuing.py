"""Issuing and revoking tokens, on record."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta

from backbeat.errors import NotFound, UnmetNeed
from backbeat.identity import Actor
from backbeat.ledger.sql import SqlLedger
from backbeat.ledger.times import to_text
from backbeat.ports import AuditFact, Ledger
from backbeat.service.credentials import Scope, Token, TokenBook, hash_of

__all__ = ["issue", "own_ledger", "revoke"]


def own_ledger(ledger: Ledger) -> SqlLedger:
    """The ledger, where it is one that a service can stand before.

    Raises:
        UnmetNeed: It is itself behind a service.
    """
    if not isinstance(ledger, SqlLedger):
        raise UnmetNeed(
            "tokens live beside the ledger itself, and this one is behind a service",
            hint="run this where the ledger is a SQLite file or postgresql://…",
        )
    return ledger


def issue(
    ledger: SqlLedger,
    book: TokenBook,
    *,
    scope: Scope,
    workflow: str | None,
    days: float,
    actor: Actor,
) -> tuple[Token, str]:
    """Make a token; its text is known to nobody but the caller from here on.

    Args:
        ledger: Whose audit log tells of it.
        book: Where it is kept.
        scope: What it may do.
        workflow: The one workflow that it may work for; any where None.
        days: For how long.
        actor: Who issues it.

    Returns:
        The token, and the text that its holder presents.
    """
    at = book.now()
    secret = secrets.token_urlsafe(32)
    token = Token(
        id=secrets.token_hex(6),
        secret_hash=hash_of(secret),
        scope=scope,
        workflow=workflow,
        created_at=at,
        expires_at=at + timedelta(days=days),
    )
    book.add(token)
    facts = {"scope": scope.value, "expires_at": to_text(token.expires_at)}
    if workflow is not None:
        facts["workflow"] = workflow
    _record(ledger, "token.issue", token.id, actor, facts)
    return token, f"bb1.{token.id}.{secret}"


def revoke(ledger: SqlLedger, book: TokenBook, token_id: str, *, actor: Actor) -> None:
    """Withdraw a token; the next call with it is refused.

    Raises:
        NotFound: There is no such token that could be withdrawn.
    """
    if not book.revoke(token_id):
        raise NotFound(
            f"there is no token {token_id} that could be revoked", hint="see `backbeat token list`"
        )
    _record(ledger, "token.revoke", token_id, actor, {})


def _record(
    ledger: SqlLedger, action: str, token_id: str, actor: Actor, facts: Mapping[str, str]
) -> None:
    fact = AuditFact(action, "ok", actor, {"token": token_id}, facts)
    ledger.append(
        f"token/{token_id}", [], category="token", expected=0, state="", due=None, audit=[fact]
    )
