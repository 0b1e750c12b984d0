"""Append-only streams with optimistic versions: the ledger's state machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from backbeat.errors import Conflict
from backbeat.ledger.database import Database
from backbeat.ledger.prepared import Prepared
from backbeat.ledger.record import as_json, seal_all, write_audit, write_messages
from backbeat.ledger.tables import events, streams
from backbeat.ledger.times import from_text, to_text
from backbeat.ports import AuditFact, Event, Message, StreamInfo

__all__ = ["Streams"]

_HOLD_SECONDS = 30
_HEAD = ("state", "version", "due", "updated_at")
_INSERT_STREAM = Prepared(
    insert(streams), columns=("stream", "category", *_HEAD), keep_existing=True
)
_MOVE_STREAM = Prepared(
    update(streams)
    .where((streams.c.stream == bindparam("this")) & (streams.c.version == bindparam("expected")))
    .values({name: bindparam(name) for name in _HEAD})
)


class Streams:
    """The part of the ledger that keeps state machines, such as sign-off requests."""

    _db: Database

    def append(
        self,
        stream: str,
        additions: Sequence[tuple[str, Mapping[str, Any]]],
        *,
        category: str,
        expected: int,
        state: str,
        due: datetime | None,
        audit: Sequence[AuditFact],
        messages: Sequence[Message] = (),
    ) -> int:
        """Append to a stream whose version is still `expected`, with its audit entries.

        Returns:
            The new version. With no events only the audit entries are written: a refusal.

        Raises:
            Conflict: Somebody else appended first; read again and decide again.
        """
        at = self._db.now()
        sealed = seal_all(audit, at)
        version = expected + len(additions)
        head = {
            "state": state,
            "version": version,
            "due": to_text(due) if due else None,
            "updated_at": to_text(at),
        }
        with self._db.write() as tx:
            write_audit(tx, sealed, at)
            write_messages(tx, messages, at)
            if not additions:
                return expected
            if expected == 0:
                fresh = {"stream": stream, "category": category, **head}
                moved = not _INSERT_STREAM(tx, fresh)
            else:
                moved = not _MOVE_STREAM(tx, {"this": stream, "expected": expected, **head})
            if moved:
                known = tx.execute(
                    select(streams.c.version).where(streams.c.stream == stream)
                ).scalar()
                raise Conflict(
                    f"{stream} has moved on to version {known or 0} from {expected}",
                    hint="read it again and decide again",
                )
            self._db.announce(tx)
            tx.execute(
                insert(events),
                [
                    {
                        "stream": stream,
                        "version": expected + number,
                        "kind": kind,
                        "at": to_text(at),
                        "body": as_json(body),
                    }
                    for number, (kind, body) in enumerate(additions, start=1)
                ],
            )
        return version

    def read(self, stream: str) -> list[Event]:
        """A stream's events in order; empty where it does not exist."""
        query = select(events).where(events.c.stream == stream).order_by(events.c.version)
        with self._db.read() as view:
            return [
                Event(row.version, row.kind, from_text(row.at), json.loads(row.body))
                for row in view.execute(query)
            ]

    def streams(
        self, category: str, *, state: str | None = None, since: datetime | None = None
    ) -> list[StreamInfo]:
        """Heads of a category's streams, newest first; those that moved since a moment."""
        query = (
            select(streams)
            .where(streams.c.category == category)
            .order_by(streams.c.updated_at.desc())
        )
        if state is not None:
            query = query.where(streams.c.state == state)
        if since is not None:
            query = query.where(streams.c.updated_at >= to_text(since))
        with self._db.read() as view:
            return [_info(row) for row in view.execute(query)]

    def due(self, category: str, *, state: str, limit: int) -> list[StreamInfo]:
        """Streams in a state whose time has come, each handed to one caller for half a minute."""
        at = to_text(self._db.now())
        ready = (
            (streams.c.category == category)
            & (streams.c.state == state)
            & (streams.c.due <= at)
            & ((streams.c.taken_until.is_(None)) | (streams.c.taken_until <= at))
        )
        with self._db.read() as view:
            if view.execute(select(streams.c.stream).where(ready).limit(1)).first() is None:
                return []  # asking for the write lock would disturb others for nothing
        query = (
            select(streams)
            .where(ready)
            .order_by(streams.c.due)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._db.write() as tx:
            rows = tx.execute(query).all()
            hold = to_text(self._db.now() + timedelta(seconds=_HOLD_SECONDS))
            names = [row.stream for row in rows]
            tx.execute(update(streams).where(streams.c.stream.in_(names)).values(taken_until=hold))
        return [_info(row) for row in rows]


def _info(row: Any) -> StreamInfo:
    return StreamInfo(
        row.stream,
        row.category,
        row.state,
        row.version,
        from_text(row.due) if row.due else None,
        from_text(row.updated_at),
    )
