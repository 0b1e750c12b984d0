"""Tokens in the ledger's own database, without their secrets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import insert, select, update

from backbeat.ledger.database import Database
from backbeat.ledger.tables import tokens
from backbeat.ledger.times import from_text, to_text
from backbeat.service.credentials import Scope, Token

__all__ = ["LedgerTokens"]


class LedgerTokens:
    """Tokens in the ledger's own database.

    Args:
        database: The ledger's.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def now(self) -> datetime:
        """The ledger's clock."""
        return self._db.now()

    def find(self, token_id: str) -> Token | None:
        """A token by its id."""
        with self._db.read() as view:
            row = view.execute(select(tokens).where(tokens.c.id == token_id)).mappings().first()
        return _token(row) if row else None

    def add(self, token: Token) -> None:
        """Keep a new token."""
        row = {
            "id": token.id,
            "secret_hash": token.secret_hash,
            "scope": token.scope.value,
            "workflow": token.workflow,
            "created_at": to_text(token.created_at),
            "expires_at": to_text(token.expires_at),
            "revoked_at": None,
        }
        with self._db.write() as tx:
            tx.execute(insert(tokens), row)

    def revoke(self, token_id: str) -> bool:
        """Withdraw a token; False where there is none, or where it was withdrawn already."""
        living = (tokens.c.id == token_id) & (tokens.c.revoked_at.is_(None))
        at = to_text(self.now())
        with self._db.write() as tx:
            found = tx.execute(update(tokens).where(living).values(revoked_at=at)).rowcount
        return bool(found)

    def tokens(self) -> list[Token]:
        """All tokens, newest first."""
        query = select(tokens).order_by(tokens.c.created_at.desc())
        with self._db.read() as view:
            return [_token(row) for row in view.execute(query).mappings()]


def _token(row: Mapping[str, str]) -> Token:
    return Token(
        id=row["id"],
        secret_hash=row["secret_hash"],
        scope=Scope(row["scope"]),
        workflow=row["workflow"],
        created_at=from_text(row["created_at"]),
        expires_at=from_text(row["expires_at"]),
        revoked_at=from_text(row["revoked_at"]) if row["revoked_at"] else None,
    )
