"""Token buckets that all workers share: what may be spent on retries."""

from __future__ import annotations

from sqlalchemy import insert, select, update

from backbeat.ledger.database import Database
from backbeat.ledger.prepared import Prepared
from backbeat.ledger.tables import budgets
from backbeat.ledger.times import from_text, to_text
from backbeat.ports import Budget

__all__ = ["Budgets"]

_INSERT_BUDGET = Prepared(insert(budgets), keep_existing=True)


class Budgets:
    """The part of the ledger that keeps retries in check."""

    _db: Database

    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        """Put `earned` tokens in, then take `cost` out if they are there.

        Args:
            budget: Which bucket; its first use finds it full.
            cost: Tokens to take; 0 only puts in.
            earned: Tokens to put in, never beyond the capacity.

        Returns:
            Whether the cost was paid.
        """
        at = self._db.now()
        this = budgets.c.name == budget.name
        with self._db.write() as tx:
            fresh = {"name": budget.name, "balance": budget.capacity, "updated_at": to_text(at)}
            _INSERT_BUDGET(tx, fresh)
            row = tx.execute(select(budgets).where(this).with_for_update()).one()
            # a clock that was set back gives nothing back, and takes nothing away
            elapsed = max(0.0, (at - from_text(row.updated_at)).total_seconds())
            given = row.balance + elapsed * budget.refill_per_second + earned
            balance = min(budget.capacity, given)
            granted = bool(balance >= cost)
            left = balance - cost if granted else balance
            tx.execute(update(budgets).where(this).values(balance=left, updated_at=to_text(at)))
        return granted
