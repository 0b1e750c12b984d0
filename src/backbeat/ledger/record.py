"""What every transaction of the ledger may write beside its subject: audit entries and messages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.engine import Connection

from backbeat.audit import SealedEntry, seal
from backbeat.ledger.prepared import Prepared
from backbeat.ledger.tables import audit_log, audit_private, outbox
from backbeat.ledger.times import to_text
from backbeat.ports import AuditFact, Message

__all__ = [
    "as_json",
    "audit_statements",
    "message_statements",
    "seal_all",
    "write_audit",
    "write_messages",
]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
Sealed = Iterable[tuple[AuditFact, SealedEntry]]

# a refusal that is said again carries the id of the first one: the first stays
_INSERT_ENTRY = Prepared(
    insert(audit_log).inline(),
    columns=("id", "at", "action", "outcome", "body", "leaf"),
    keep_existing=True,
)
_INSERT_PRIVATE = Prepared(insert(audit_private))
# a repeated START of a retry carries the id of the first one: the first stays
_INSERT_MESSAGE = Prepared(
    insert(outbox).inline(),
    columns=("id", "topic", "body", "created_at", "next_at", "tries"),
    keep_existing=True,
)


def as_json(value: Any) -> str:
    """Compact JSON text; values without a JSON form are a TypeError here, not later."""
    return _encode(value)


def seal_all(facts: Iterable[AuditFact], at: datetime) -> list[tuple[AuditFact, SealedEntry]]:
    """Seal before the transaction begins: hashing must not hold the write lock."""
    return [(fact, seal(fact, at=at)) for fact in facts]


def audit_statements(entries: Sealed, at: datetime) -> list[tuple[Prepared, dict[str, Any]]]:
    """What appends sealed entries, for the caller's transaction."""
    moment = to_text(at)
    found: list[tuple[Prepared, dict[str, Any]]] = []
    for fact, entry in entries:
        row = {
            "id": entry.id,
            "at": moment,
            "action": fact.action,
            "outcome": fact.outcome,
            "body": entry.body,
            "leaf": entry.leaf,
        }
        found.append((_INSERT_ENTRY, row))
        found += [
            (_INSERT_PRIVATE, {"entry_id": entry.id, "field": field, "value": value, "salt": salt})
            for field, value, salt in entry.private
        ]
    return found


def message_statements(
    messages: Iterable[Message], at: datetime
) -> list[tuple[Prepared, dict[str, Any]]]:
    """What puts outgoing messages in the outbox, for the caller's transaction."""
    moment = to_text(at)
    return [
        (
            _INSERT_MESSAGE,
            {
                "id": message.id,
                "topic": message.topic,
                "body": as_json(message.body),
                "created_at": moment,
                "next_at": moment,
                "tries": 0,
            },
        )
        for message in messages
    ]


def write_audit(tx: Connection, entries: Sealed, at: datetime) -> None:
    """Append sealed entries in the caller's transaction."""
    for statement, row in audit_statements(entries, at):
        statement(tx, row)


def write_messages(tx: Connection, messages: Iterable[Message], at: datetime) -> None:
    """Put outgoing messages in the outbox in the caller's transaction."""
    for statement, row in message_statements(messages, at):
        statement(tx, row)
