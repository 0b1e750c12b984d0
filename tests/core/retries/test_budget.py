"""What may be spent on retries, and where that is written down."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.errors import Unreachable
from backbeat.ledger import open_ledger
from backbeat.ports import Budget
from backbeat.retries import EndpointBudget, workflow_budget
from backbeat.retries.budget import EARNED_PER_CALL, spend
from backbeat.retries.local import LocalBuckets


class Counting:
    """A bucket that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._buckets = LocalBuckets()

    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        """Count, then answer."""
        self.asked += 1
        return self._buckets.spend(budget, cost=cost, earned=earned)


def _silent() -> Any:
    raise Unreachable("the ledger does not answer")


@given(failures=st.lists(st.booleans(), max_size=3000))
def test_retries_stay_within_a_tenth_whatever_fails(failures: list[bool]) -> None:
    """In any course of calls, retries cost at most the reserve and what the calls have earned."""
    bucket = Counting()
    budget = EndpointBudget("http://server", lambda: bucket)
    granted = 0
    for failed in failures:
        budget.earn()
        granted += failed and budget.grant()
    assert granted <= 10 + EARNED_PER_CALL * len(failures) + 1e-9


def test_a_thousand_calls_send_at_most_eleven_hundred() -> None:
    """With the reserve, and with every single call failing, sent / wanted is at most 1.1."""
    bucket = Counting()
    budget = EndpointBudget("http://server", lambda: bucket)
    granted = 0
    for _ in range(1000):
        budget.earn()
        granted += sum(budget.grant() for _ in range(3))
    assert 90 <= granted <= 100


def test_a_call_that_succeeds_touches_no_ledger() -> None:
    """The ledger is not even opened before a retry is wanted."""
    opened: list[str] = []

    def ledger() -> Counting:
        opened.append("opened")
        return Counting()

    budget = EndpointBudget("http://server", ledger)
    for _ in range(10_000):
        budget.earn()
    assert opened == []
    assert budget.grant()
    assert opened == ["opened"]


def test_an_outage_is_no_storm_of_questions_to_the_ledger() -> None:
    """Where all is refused, the ledger is asked about as often as there is a token to win."""
    bucket = Counting()
    budget = EndpointBudget("http://server", lambda: bucket)
    for _ in range(5000):
        budget.earn()
        budget.grant()
    assert bucket.asked <= 10 + 2 * EARNED_PER_CALL * 5000


def test_workers_share_one_reserve(tmp_path: Path) -> None:
    """Two workers with a ledger file in common get ten retries between them, not ten each."""
    path = str(tmp_path / "ledger.db")
    workers = [
        EndpointBudget("https://host:8000/v2/models/a", lambda: open_ledger(path)),
        EndpointBudget("https://host:8000/v2/models/b", lambda: open_ledger(path)),
    ]
    granted = [worker.grant() for _ in range(10) for worker in workers]
    assert sum(granted) == 10


def test_what_one_worker_earned_another_can_spend(tmp_path: Path) -> None:
    """A worker whose calls go well pays for the retry of one whose calls fail."""
    path = str(tmp_path / "ledger.db")
    calm = EndpointBudget("https://host", lambda: open_ledger(path))
    unlucky = EndpointBudget("https://host", lambda: open_ledger(path))
    assert all(calm.grant() for _ in range(10))
    for _ in range(105):
        calm.earn()
    assert calm.grant()
    assert [unlucky.grant() for _ in range(9)] == [True] * 8 + [False]


def test_no_secret_of_an_address_reaches_the_ledger(tmp_path: Path) -> None:
    """Scheme, host and port name a budget; user, password, path and query do not."""
    path = tmp_path / "ledger.db"
    address = "https://user:geheim@host:8443/v2/models/m?token=geheim"
    budget = EndpointBudget(address, lambda: open_ledger(str(path)))
    assert budget.grant()
    assert budget.budget.name == "endpoint:https://host:8443"
    with sqlite3.connect(path) as connection:
        assert "geheim" not in "".join(connection.iterdump())


def test_a_silent_ledger_does_not_stop_retries(caplog: pytest.LogCaptureFixture) -> None:
    """The process's own bucket stands in, is as small, and the ledger is left alone for a while."""
    asked: list[int] = []

    def ledger() -> Any:
        asked.append(1)
        return _silent()

    budget = EndpointBudget(f"http://{uuid4().hex}", ledger)
    assert [budget.grant() for _ in range(12)] == [True] * 10 + [False] * 2
    assert len(asked) == 1
    assert "the ledger does not answer" in caplog.text


@pytest.mark.parametrize("ledger", [_silent, object])
def test_deciding_never_raises_what_the_ledger_raises(ledger: Callable[[], Any]) -> None:
    """An unreachable or a broken ledger is logged, and the process's own budget decides."""
    budget = Budget(uuid4().hex, capacity=1)
    assert spend(ledger, budget, cost=1)
    assert not spend(ledger, budget, cost=1)


def test_a_workflow_gets_a_retry_a_minute_and_sixty_at_first(tmp_path: Path) -> None:
    """One budget for all workers of a DAG, another for another DAG."""
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    nightly = workflow_budget("airflow:nightly")
    granted = [spend(lambda: ledger, nightly, cost=1) for _ in range(62)]
    assert granted == [True] * 60 + [False] * 2
    assert spend(lambda: ledger, workflow_budget("airflow:hourly"), cost=1)
    assert nightly.refill_per_second * 60 == pytest.approx(1)
