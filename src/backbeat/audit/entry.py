"""One audit entry, format 1, frozen: canonical bytes, salted commitments, distinguishable refusals.

The stored bytes are what is hashed; every column beside them is a view. An entry is JSON in
RFC 8785 form::

    {"action": "signoff.vote", "actor": {"commitment": "sha256:…", "method": "cli"},
     "at": "2026-11-22T02:00:00.000000Z", "facts": {…}, "format": 1, "id": "<32 hex digits>",
     "outcome": "ok" | "refused" | "failed", "personal": {"reason": "sha256:…"}, "subject": {…}}

A personal value enters only as `sha256(0x02 || salt || canonical({"field", "value"}))` with a fresh
32-byte salt. Value and salt live in an erasable table: deleting the row makes the commitment
meaningless without touching the log. An actor whose method is `system` is not a person and is named
in plain. The leaf hash is RFC 6962's `sha256(0x00 || bytes)`, ready for a Merkle log.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backbeat.canonical import canonical_bytes
from backbeat.ports import AuditFact

__all__ = ["SealedEntry", "leaf_hash", "opens", "seal"]

_LEAF = b"\x00"
_COMMITMENT = b"\x02"  # 0x00 and 0x01 are RFC 6962's leaf and node
OUTCOMES = frozenset({"ok", "refused", "failed"})


@dataclass(frozen=True)
class SealedEntry:
    """An entry ready to be stored.

    Args:
        id: Unique id of the entry, 32 hex digits.
        body: The canonical bytes.
        leaf: RFC 6962 leaf hash, 32 bytes.
        private: The erasable rows: field, value (canonical bytes), salt.
    """

    id: str
    body: bytes
    leaf: bytes
    private: tuple[tuple[str, bytes, bytes], ...]


def seal(fact: AuditFact, *, at: datetime, entry_id: str | None = None) -> SealedEntry:
    """Turn a fact into an entry's bytes, hiding what is personal.

    Args:
        fact: What happened.
        at: When, with a time zone.
        entry_id: 32 hex digits, where saying the same again must give the same; else its time
            and chance.

    Raises:
        ValueError: The outcome is unknown, or a value has no JSON form.
    """
    if fact.outcome not in OUTCOMES:
        raise ValueError(f"an audit outcome is one of {sorted(OUTCOMES)}, not {fact.outcome!r}")
    private: list[tuple[str, bytes, bytes]] = []

    def hide(field: str, value: Any) -> str:
        salt = secrets.token_bytes(32)
        private.append((field, canonical_bytes(value), salt))
        return _commitment(field, value, salt)

    actor: dict[str, str] = {"method": fact.actor.method}
    if fact.actor.method == "system":
        actor["id"] = fact.actor.id
    else:
        actor["commitment"] = hide("actor", fact.actor.id)
    # begins with its time, as a UUIDv7 does: entries of one moment lie together in an index
    milliseconds = int(at.timestamp() * 1000)
    identifier = entry_id or f"{milliseconds:012x}{secrets.token_hex(10)}"
    body = canonical_bytes(
        {
            "format": 1,
            "id": identifier,
            "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "action": fact.action,
            "outcome": fact.outcome,
            "actor": actor,
            "subject": dict(fact.subject),
            "facts": dict(fact.facts),
            "personal": {name: hide(name, value) for name, value in fact.personal.items()},
        }
    )
    return SealedEntry(identifier, body, leaf_hash(body), tuple(private))


def leaf_hash(body: bytes) -> bytes:
    """RFC 6962 section 2.1: the hash of a leaf."""
    return hashlib.sha256(_LEAF + body).digest()


def opens(commitment: str, *, field: str, value: Any, salt: bytes) -> bool:
    """Whether a value and its salt are what a commitment was made of."""
    return secrets.compare_digest(commitment, _commitment(field, value, salt))


def _commitment(field: str, value: Any, salt: bytes) -> str:
    hidden = canonical_bytes({"field": field, "value": value})
    return "sha256:" + hashlib.sha256(_COMMITMENT + salt + hidden).hexdigest()
