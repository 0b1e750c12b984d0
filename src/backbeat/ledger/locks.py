"""Named leases: one promotion of an alias, one registration of an effect at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import delete, insert, select, update

from backbeat.errors import BackbeatError, LeaseHeld
from backbeat.ledger.database import Database
from backbeat.ledger.leases import lease_left
from backbeat.ledger.owner import is_certainly_dead, this_process
from backbeat.ledger.prepared import Prepared
from backbeat.ledger.tables import locks
from backbeat.ledger.times import to_text

__all__ = ["Locks", "lock"]

_INSERT_LOCK = Prepared(insert(locks), keep_existing=True)


class Leasing(Protocol):
    """What can hand out named leases."""

    def acquire(self, name: str, *, holder: str, seconds: float) -> None:
        """Take a named lease."""

    def release(self, name: str, *, holder: str) -> None:
        """Give a named lease back."""


@contextmanager
def lock(leasing: Leasing, name: str, *, owner: str, seconds: float) -> Iterator[None]:
    """Hold a named lease for the length of a block.

    Args:
        leasing: The ledger.
        name: Of the lease.
        owner: What it is held for.
        seconds: After which others may take it, should this process fall silent.

    Raises:
        LeaseHeld: Another living holder has it; retry after its end.
    """
    holder = f"{owner}#{uuid.uuid4().hex}|{this_process()}"
    leasing.acquire(name, holder=holder, seconds=seconds)
    try:
        yield
    finally:
        leasing.release(name, holder=holder)


class Locks:
    """The part of the ledger that keeps workers off each other's effects."""

    _db: Database

    def acquire(self, name: str, *, holder: str, seconds: float) -> None:
        """Take a named lease, or get it again as the same holder.

        Args:
            name: Of the lease.
            holder: `<purpose>|<process>`, unique to one use.
            seconds: Its length.

        Raises:
            LeaseHeld: Another living holder has it; retry after its end.
        """
        at = self._db.now()
        until = to_text(at + timedelta(seconds=seconds))
        taken = {"name": name, "owner": holder, "until": until, "seconds": seconds}
        refusal: BackbeatError | None = None
        with self._db.write() as tx:
            if not _INSERT_LOCK(tx, taken):
                this = locks.c.name == name
                row = tx.execute(select(locks).where(this).with_for_update()).mappings().first()
                left = lease_left(row["until"], row["seconds"], at) if row else None
                if row and left and row["owner"] != holder and _held(row, left.seconds):
                    # a lease from before the clock was set back is cut to its length
                    taken = {"until": to_text(at + timedelta(seconds=left.seconds))}
                    refusal = LeaseHeld(
                        f"{name} is locked for {left.seconds:.0f} s more by another worker",
                        hint="let it finish",
                        retry_after=max(1.0, left.seconds),
                    )
                if refusal is None or (left and left.cut):
                    tx.execute(update(locks).where(this).values(**taken))
        if refusal is not None:
            raise refusal

    def release(self, name: str, *, holder: str) -> None:
        """Give a named lease back; one that is not held is no error."""
        with self._db.write() as tx:
            tx.execute(delete(locks).where(locks.c.name == name, locks.c.owner == holder))

    def lock(self, name: str, *, owner: str, seconds: float) -> Any:
        """A named lease for the length of a block; raises LeaseHeld where another has it."""
        return lock(self, name, owner=owner, seconds=seconds)


def _held(row: Mapping[str, Any], seconds: float) -> bool:
    return seconds > 0 and not is_certainly_dead(row["owner"].rpartition("|")[2])
