"""Retention: finished work that is old enough leaves; the audit log never does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select

from backbeat.identity import Actor
from backbeat.ledger.record import seal_all, write_audit
from backbeat.ledger.sql import SqlLedger
from backbeat.ledger.tables import attempts, events, runs, streams
from backbeat.ledger.times import to_text
from backbeat.ports import AuditFact

__all__ = ["Pruned", "prune"]

_FINISHED = ("done", "blocked", "failed", "denied")
_BATCH = 500


@dataclass(frozen=True)
class Pruned:
    """What leaves, or would leave.

    Args:
        runs: Finished pieces of work.
        streams: Settled sign-off requests.
        before: What was finished before this moment, UTC text.
    """

    runs: int
    streams: int
    before: str


def prune(ledger: SqlLedger, *, days: float, actor: Actor, dry_run: bool = False) -> Pruned:
    """Remove work that was finished, and requests that were settled, more than so many days ago.

    Claimed and waiting work stays, however old, and so does the whole audit log. What was removed
    is performed again where an orchestrator asks for it again: choose more days than anybody
    clears back.

    Args:
        ledger: What is pruned.
        days: Age in days.
        actor: Who asks; it is on record.
        dry_run: Only count.
    """
    at = ledger.database.now()
    before = to_text(at - timedelta(days=days))
    old_runs = runs.c.state.in_(_FINISHED) & (runs.c.finished_at < before)
    old_streams = (streams.c.state != "open") & (streams.c.updated_at < before)
    if dry_run:
        with ledger.database.read() as view:
            return Pruned(
                runs=view.execute(select(func.count()).select_from(runs).where(old_runs)).scalar()
                or 0,
                streams=view.execute(
                    select(func.count()).select_from(streams).where(old_streams)
                ).scalar()
                or 0,
                before=before,
            )
    found = Pruned(
        runs=_remove(ledger, runs.c.key, old_runs, attempts.c.key),
        streams=_remove(ledger, streams.c.stream, old_streams, events.c.stream),
        before=before,
    )
    fact = AuditFact(
        action="ledger.prune",
        outcome="ok",
        actor=actor,
        subject={"before": before},
        facts={"runs": found.runs, "streams": found.streams},
    )
    with ledger.database.write() as tx:
        write_audit(tx, seal_all([fact], at), at)
    return found


def _remove(ledger: SqlLedger, name: Any, old: Any, child: Any) -> int:
    # in batches: workers must never wait for a long transaction
    removed = 0
    while True:
        with ledger.database.write() as tx:
            keys = [row[0] for row in tx.execute(select(name).where(old).limit(_BATCH))]
            if not keys:
                return removed
            tx.execute(delete(child.table).where(child.in_(keys)))
            tx.execute(delete(name.table).where(name.in_(keys)))
            removed += len(keys)
