"""The outbox: messages leave at least once, after the commit that they tell of."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import delete, select, update

from backbeat.errors import BackbeatError
from backbeat.ledger.database import Database
from backbeat.ledger.tables import outbox
from backbeat.ledger.times import to_text
from backbeat.ports import Message, Sink
from backbeat.retries import seconds_to_wait

__all__ = ["Outbox"]

_HOLD_SECONDS = 60
_LONGEST_WAIT = 3600.0


class Outbox:
    """The part of the ledger that hands messages on."""

    _db: Database

    def drain(self, sinks: Mapping[str, Sink], *, limit: int) -> int:
        """Deliver up to `limit` messages that are due, oldest first.

        A message whose topic has no sink stays; one that could not be delivered waits with full
        jitter between nothing and 2**tries seconds, at most an hour, and not less than its
        receiver's Retry-After.

        Returns:
            How many were delivered.
        """
        at = self._db.now()
        with self._db.read() as view:
            if view.execute(select(outbox.c.id).where(_due(sinks, at)).limit(1)).first() is None:
                return 0  # asking for the write lock would disturb others for nothing
        with self._db.write() as tx:
            taken = tx.execute(
                select(outbox)
                .where(_due(sinks, at))
                .order_by(outbox.c.position)
                .limit(limit)
                .with_for_update(skip_locked=True)
            ).all()
            if not taken:  # others drain these at this moment
                return 0
            hold = to_text(at + timedelta(seconds=_HOLD_SECONDS))
            positions = [row.position for row in taken]
            tx.execute(update(outbox).where(outbox.c.position.in_(positions)).values(next_at=hold))
        delivered: list[int] = []
        failed: list[tuple[int, int, str, float | None]] = []
        began = time.monotonic()
        for row in taken:
            if time.monotonic() - began > _HOLD_SECONDS / 2:
                break  # another drainer takes the rest up when our hold on them has ended
            try:
                sinks[row.topic].deliver(Message(row.id, row.topic, json.loads(row.body)))
            except Exception as error:  # noqa: BLE001 - one bad message must not hold up the others
                # what is not ours may carry a secret in its message
                why = error.message if isinstance(error, BackbeatError) else type(error).__name__
                after = error.retry_after if isinstance(error, BackbeatError) else None
                failed.append((row.position, row.tries + 1, why, after))
            else:
                delivered.append(row.position)
        with self._db.write() as tx:
            tx.execute(delete(outbox).where(outbox.c.position.in_(delivered)))
            for position, tries, message, after in failed:
                wait = seconds_to_wait(tries, base=2.0, cap=_LONGEST_WAIT, retry_after=after)
                tx.execute(
                    update(outbox)
                    .where(outbox.c.position == position)
                    .values(
                        tries=tries,
                        error=message,
                        next_at=to_text(self._db.now() + timedelta(seconds=wait)),
                    )
                )
        return len(delivered)


def _due(sinks: Mapping[str, Sink], at: object) -> object:
    return (outbox.c.next_at <= to_text(at)) & outbox.c.topic.in_(sorted(sinks))  # type: ignore[arg-type]
