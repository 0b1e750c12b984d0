from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from backbeat.ledger.sql import SqlLedger
from backbeat.ports import Budget

Make = Callable[..., Any]


def test_a_budget_is_full_at_first_and_never_negative(ledger: SqlLedger) -> None:
    """Its capacity can be spent, and not one token more; another budget is untouched."""
    budget = Budget("endpoint:a", capacity=2)
    assert [ledger.spend(budget, cost=1) for _ in range(3)] == [True, True, False]
    assert ledger.spend(Budget("endpoint:b", capacity=1), cost=1)


def test_what_is_earned_can_be_spent_up_to_the_capacity(ledger: SqlLedger) -> None:
    """Ten wanted calls at a tenth each pay for one retry; a hoard beyond the capacity is cut."""
    budget = Budget("endpoint:a", capacity=1)
    assert ledger.spend(budget, cost=1)
    assert not ledger.spend(budget, cost=1, earned=0.5)
    assert ledger.spend(budget, cost=1, earned=0.5)
    assert ledger.spend(budget, cost=1, earned=50)
    assert not ledger.spend(budget, cost=1)


@pytest.mark.parametrize(("minutes", "granted"), [(-60, False), (0.5, False), (1, True)])
def test_time_gives_tokens_back(ledger: SqlLedger, minutes: float, granted: bool) -> None:
    """A refill comes with the ledger's clock; a clock that is set back gives nothing."""
    budget = Budget("airflow:nightly", capacity=1, refill_per_second=1 / 60)
    assert ledger.spend(budget, cost=1)
    moment = ledger.database.now() + timedelta(minutes=minutes, seconds=1 if granted else 0)
    ledger.database.now = lambda: moment  # type: ignore[method-assign]
    assert ledger.spend(budget, cost=1) is granted


def test_many_processes_spend_no_more_than_there_is(
    ledger: SqlLedger, address: str, start_python: Make
) -> None:
    """Workers that retry at the same moment are granted the capacity between them."""
    source = """
import sys
from backbeat.ledger import open_ledger
from backbeat.ports import Budget
ledger = open_ledger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(sum(ledger.spend(Budget("b", capacity=25), cost=1) for _ in range(20)))
"""
    workers = [start_python(source, address) for _ in range(3)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    granted = []
    for worker in workers:
        out, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
        granted.append(int(out))
    assert sum(granted) == 25
