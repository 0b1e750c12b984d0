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

__all__ = ["as_json", "seal_all", "write_audit", "write_messages"]

_INSERT_ENTRY = Prepared(
    insert(audit_log), columns=("id", "at", "action", "outcome", "body", "leaf")
)
_INSERT_PRIVATE = Prepared(insert(audit_private))
# a repeated START of a retry carries the id of the first one: the first stays
_INSERT_MESSAGE = Prepared(
    insert(outbox).prefix_with("OR IGNORE", dialect="sqlite"),
    columns=("id", "topic", "body", "created_at", "next_at", "tries"),
)


def as_json(value: Any) -> str:
    """Compact JSON text; values without a JSON form are a TypeError here, not later."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def seal_all(facts: Iterable[AuditFact], at: datetime) -> list[tuple[AuditFact, SealedEntry]]:
    """Seal before the transaction begins: hashing must not hold the write lock."""
    return [(fact, seal(fact, at=at)) for fact in facts]


def write_audit(
    tx: Connection, entries: Iterable[tuple[AuditFact, SealedEntry]], at: datetime
) -> None:
    """Append sealed entries in the caller's transaction."""
    moment = to_text(at)
    for fact, entry in entries:
        _INSERT_ENTRY(
            tx,
            {
                "id": entry.id,
                "at": moment,
                "action": fact.action,
                "outcome": fact.outcome,
                "body": entry.body,
                "leaf": entry.leaf,
            },
        )
        if entry.private:
            _INSERT_PRIVATE.many(
                tx,
                [
                    {"entry_id": entry.id, "field": field, "value": value, "salt": salt}
                    for field, value, salt in entry.private
                ],
            )


def write_messages(tx: Connection, messages: Iterable[Message], at: datetime) -> None:
    """Put outgoing messages in the outbox in the caller's transaction."""
    moment = to_text(at)
    rows = [
        {
            "id": message.id,
            "topic": message.topic,
            "body": as_json(message.body),
            "created_at": moment,
            "next_at": moment,
            "tries": 0,
        }
        for message in messages
    ]
    if rows:
        _INSERT_MESSAGE.many(tx, rows)
