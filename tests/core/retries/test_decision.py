"""Whether a failed attempt is followed by another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from backbeat import errors
from backbeat.errors import BudgetSpent, FinalError, LeaseHeld, RetryableError, Unreachable
from backbeat.ledger import open_ledger
from backbeat.retries import GiveUp, Retry, decide
from backbeat.retries.local import LocalBuckets

Ruled = Callable[..., Retry | GiveUp]


def _classes(root: type[errors.BackbeatError]) -> list[type[errors.BackbeatError]]:
    named = [getattr(errors, name) for name in errors.__all__]
    return [cls for cls in named if issubclass(cls, root)]


@pytest.fixture
def ruled() -> Ruled:
    """Rules on an error of the first attempt of four, with a budget of its own."""
    buckets = LocalBuckets()

    def rule(error: BaseException, **given: Any) -> Retry | GiveUp:
        usual = {"attempt": 1, "retries": 3, "workflow": "airflow:nightly", "base": 1, "cap": 60}
        return decide(error, **{**usual, "ledger": lambda: buckets, **given})

    return rule


def _never() -> Any:
    pytest.fail("the ledger was asked")


@pytest.mark.parametrize("cls", _classes(FinalError))
def test_a_final_error_ends_the_work(cls: type[FinalError], ruled: Ruled) -> None:
    """No class of final error is tried again, and none costs anything."""
    error = cls("it broke", hint="mend it")
    assert ruled(error, ledger=_never) == GiveUp(error)


@pytest.mark.parametrize("cls", _classes(RetryableError))
def test_a_retryable_error_is_tried_again_while_attempts_are_left(
    cls: type[RetryableError], ruled: Ruled
) -> None:
    """Three retries after the first attempt; then the error is the end, and costs nothing."""
    error = cls("it broke")
    assert all(isinstance(ruled(error, attempt=attempt), Retry) for attempt in (1, 2, 3))
    assert ruled(error, attempt=4, ledger=_never) == GiveUp(error)
    assert ruled(error, retries=0, ledger=_never) == GiveUp(error)


def test_the_wait_follows_the_error(ruled: Ruled) -> None:
    """Jitter within the window where the error says nothing, Retry-After where it does."""
    free = ruled(Unreachable("gone"), attempt=2)
    assert isinstance(free, Retry)
    assert free.after_seconds is not None
    assert 0 <= free.after_seconds <= 2
    told = ruled(Unreachable("busy", retry_after=40))
    assert isinstance(told, Retry)
    assert told.after_seconds is not None
    assert 40 <= told.after_seconds <= 50
    assert told.reason == "busy (a retry can help after 40 s)"


def test_a_spent_budget_is_named_with_what_to_do(ruled: Ruled, tmp_path: Path) -> None:
    """The sixty-first retry is refused; what failed, which budget, and the remedy are told."""
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    error = Unreachable("MLflow did not answer")
    for _ in range(60):
        assert isinstance(ruled(error, ledger=lambda: ledger), Retry)
    spent = ruled(error, ledger=lambda: ledger)
    assert isinstance(spent, GiveUp)
    assert isinstance(spent.error, BudgetSpent)
    assert "MLflow did not answer" in spent.reason
    assert "the retry budget of airflow:nightly is spent" in spent.reason
    assert "clear or re-execute" in spent.error.hint
    assert isinstance(ruled(error, ledger=lambda: ledger, workflow="airflow:other"), Retry)


def test_a_held_lease_costs_nothing(ruled: Ruled) -> None:
    """Nothing was called, so nothing is paid; the attempt still counts."""
    held = ruled(LeaseHeld("busy", retry_after=30), ledger=_never)
    assert isinstance(held, Retry)
    assert held.after_seconds is not None
    assert held.after_seconds >= 30
    assert isinstance(ruled(LeaseHeld("busy"), attempt=4, ledger=_never), GiveUp)


def test_another_librarys_exception_is_the_orchestrators_but_pays(ruled: Ruled) -> None:
    """No delay is prescribed, its text is not repeated, and the budget is used up by it too."""
    answers = [ruled(ValueError("password=geheim")) for _ in range(61)]
    assert answers[:60] == [Retry(None, "ValueError")] * 60
    (last,) = answers[60:]
    assert isinstance(last, GiveUp)
    assert isinstance(last.error, BudgetSpent)
    assert "ValueError" in last.reason
    assert "geheim" not in last.reason


def test_who_cannot_wait_that_long_does_not_come_back_early(ruled: Ruled) -> None:
    """A server that asks for an hour is not called again after five minutes; a lease is."""
    asked = Unreachable("quota", retry_after=3600)
    assert ruled(asked, longest=300, ledger=_never) == GiveUp(asked)
    held = ruled(LeaseHeld("busy", retry_after=3600), longest=300)
    assert isinstance(held, Retry)
    assert held.after_seconds == 300
    near = ruled(Unreachable("quota", retry_after=299), longest=300)
    assert isinstance(near, Retry)
    assert near.after_seconds is not None
    assert 299 <= near.after_seconds <= 300


def test_a_silent_ledger_changes_no_decision(ruled: Ruled) -> None:
    """Where the ledger itself is what does not answer, its error is ruled on like any other."""

    def silent() -> Any:
        raise Unreachable("the ledger does not answer")

    workflow = f"airflow:{uuid4().hex}"
    error = Unreachable("the ledger does not answer")
    answers = [ruled(error, ledger=silent, workflow=workflow) for _ in range(61)]
    assert all(isinstance(answer, Retry) for answer in answers[:60])
    assert isinstance(answers[60], GiveUp)
