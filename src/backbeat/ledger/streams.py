"""Append-only streams with optimistic versions, and named locks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update

from backbeat.errors import Conflict, LeaseHeld
from backbeat.ledger.database import Database
from backbeat.ledger.owner import is_certainly_dead, this_process
from backbeat.ledger.record import as_json, seal_all, write_audit, write_messages
from backbeat.ledger.tables import events, locks, streams
from backbeat.ledger.times import from_text, now, to_text
from backbeat.ports import AuditFact, Event, Message, StreamInfo

__all__ = ["Streams"]


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
        at = now()
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
            known = tx.execute(select(streams.c.version).where(streams.c.stream == stream)).scalar()
            if (known or 0) != expected:
                raise Conflict(
                    f"{stream} has moved on to version {known or 0} from {expected}",
                    hint="read it again and decide again",
                )
            if known is None:
                tx.execute(insert(streams), {"stream": stream, "category": category, **head})
            else:
                tx.execute(update(streams).where(streams.c.stream == stream).values(**head))
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

    def streams(self, category: str, *, state: str | None = None) -> list[StreamInfo]:
        """Heads of a category's streams, newest first."""
        query = (
            select(streams)
            .where(streams.c.category == category)
            .order_by(streams.c.updated_at.desc())
        )
        if state is not None:
            query = query.where(streams.c.state == state)
        with self._db.read() as view:
            return [
                StreamInfo(
                    row.stream,
                    row.category,
                    row.state,
                    row.version,
                    from_text(row.due) if row.due else None,
                    from_text(row.updated_at),
                )
                for row in view.execute(query)
            ]

    @contextmanager
    def lock(self, name: str, *, owner: str, seconds: float) -> Iterator[None]:
        """A named lease, given back at the end of the block.

        Raises:
            LeaseHeld: Another living holder has it; retry after its end.
        """
        holder = f"{owner}|{this_process()}"
        at = now()
        until = to_text(at + timedelta(seconds=seconds))
        with self._db.write() as tx:
            row = tx.execute(select(locks).where(locks.c.name == name)).first()
            if row is not None:
                end, process = from_text(row.until), row.owner.rpartition("|")[2]
                if end > at and not is_certainly_dead(process):
                    raise LeaseHeld(
                        f"{name} is locked until {row.until} by another worker",
                        hint="let it finish",
                        retry_after=max(1.0, (end - at).total_seconds()),
                    )
                tx.execute(delete(locks).where(locks.c.name == name))
            tx.execute(insert(locks), {"name": name, "owner": holder, "until": until})
        try:
            yield
        finally:
            with self._db.write() as tx:
                tx.execute(delete(locks).where(locks.c.name == name, locks.c.owner == holder))
