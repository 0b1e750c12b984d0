"""Tokens: who may speak to the service, and what they may do.

`bb1.<id>.<secret>`: the id names a row of the ledger, the secret is 256 random bits. The ledger
keeps only the secret's SHA-256, which is enough where the secret cannot be guessed; nothing slower
is needed for each call. Looking a token up at each call lets a revocation count at once.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from backbeat.errors import Refused
from backbeat.ledger.times import to_text
from backbeat.ledger.wire import VERBS, Verb

__all__ = ["Scope", "Token", "TokenBook", "hash_of", "recognised"]

_HINT = "ask whoever runs the service for a token (`backbeat token issue`)"


class Scope(StrEnum):
    """What a token is for."""

    WORKER = "worker"
    READER = "reader"

    @property
    def verbs(self) -> frozenset[Verb]:
        """The ledger's verbs that it may call."""
        return _VERBS[self]


_VERBS: Mapping[Scope, frozenset[Verb]] = {
    Scope.WORKER: frozenset(VERBS),
    Scope.READER: frozenset({"attempts", "check", "read", "run", "runs", "streams"}),
}


@dataclass(frozen=True)
class Token:
    """A token without its secret.

    Args:
        id: Its name.
        secret_hash: SHA-256 of the secret, hex.
        scope: What it may do.
        workflow: The one workflow that it may work for; any where None.
        created_at: When it was issued.
        expires_at: From when on it is refused.
        revoked_at: When somebody withdrew it.
    """

    id: str
    secret_hash: str
    scope: Scope
    workflow: str | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


class TokenBook(Protocol):
    """Where tokens are kept."""

    def now(self) -> datetime:
        """This moment, by the clock that expires them."""

    def find(self, token_id: str) -> Token | None:
        """A token by its id."""

    def add(self, token: Token) -> None:
        """Keep a new token."""

    def revoke(self, token_id: str) -> bool:
        """Withdraw a token; False where there is none, or where it was withdrawn already."""

    def tokens(self) -> list[Token]:
        """All tokens, newest first."""


def recognised(book: TokenBook, authorization: str | None) -> Token:
    """The token that an Authorization header presents.

    Raises:
        Refused: There is none, it is unknown, its time is over, or it was withdrawn.
    """
    scheme, _, presented = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not presented.strip():
        raise Refused("the ledger service takes no call without a token", hint=_HINT)
    kind, token_id, secret = _parts(presented.strip())
    token = book.find(token_id) if kind == "bb1" else None
    # an unknown id takes as long as a wrong secret
    expected = token.secret_hash if token else hash_of("")
    if not hmac.compare_digest(hash_of(secret), expected) or token is None:
        raise Refused("the ledger service does not know this token", hint=_HINT)
    if token.revoked_at is not None:
        raise Refused(f"the token {token.id} was revoked", hint=_HINT)
    if token.expires_at <= book.now():
        raise Refused(f"the token {token.id} expired at {to_text(token.expires_at)}", hint=_HINT)
    return token


def _parts(presented: str) -> tuple[str, str, str]:
    try:
        kind, token_id, secret = presented.split(".")
    except ValueError:
        return "", "", ""
    return kind, token_id, secret


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
