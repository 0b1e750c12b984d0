"""Whether a failed attempt is followed by another: the one rule behind both orchestrators.

The class of the error decides. A final error ends the work. A retryable one is tried again while
attempts are left and the workflow's budget grants it. `LeaseHeld` is tried again for nothing, for
nothing was called. An exception of another library is left to the orchestrator's own rule, and
pays like the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random, SystemRandom

from backbeat.errors import BackbeatError, BudgetSpent, LeaseHeld
from backbeat.retries.backoff import seconds_to_wait
from backbeat.retries.budget import Spends, spend, workflow_budget

__all__ = ["GiveUp", "Retry", "decide"]

_A_DAY = 86_400.0
_RNG = SystemRandom()


@dataclass(frozen=True)
class Retry:
    """Try again.

    Args:
        after_seconds: When; None where the orchestrator's own delay holds.
        reason: One sentence for people.
    """

    after_seconds: float | None
    reason: str


@dataclass(frozen=True)
class GiveUp:
    """Do not try again.

    Args:
        error: What to end with: the error itself, or a BudgetSpent that names it.
    """

    error: BaseException

    @property
    def reason(self) -> str:
        """One sentence for people."""
        return str(self.error)


def decide(
    error: BaseException,
    *,
    attempt: int,
    retries: int,
    workflow: str,
    ledger: Callable[[], Spends],
    base: float,
    cap: float,
    longest: float = _A_DAY,
    rng: Random = _RNG,
) -> Retry | GiveUp:
    """Rule on one failed attempt of a task.

    Args:
        error: What it raised.
        attempt: Which attempt it was, counting from 1.
        retries: How many attempts may follow the first.
        workflow: Orchestrator and DAG or job, such as `airflow:nightly`; names the budget.
        ledger: Opens the ledger that keeps the budget; only called where a retry is to be paid.
        base: Window of the first wait, in seconds.
        cap: Largest window of a wait, in seconds.
        longest: Seconds that can be waited at all. A server that asks for more ends the work; a
            lease that is held for longer is looked at sooner.
        rng: Source of chance.
    """
    if attempt > retries:
        return GiveUp(error)
    if not isinstance(error, BackbeatError):
        another = Retry(None, _name(error))
    elif not error.retryable or _asks_too_long(error, longest):
        return GiveUp(error)
    else:
        wait = seconds_to_wait(attempt, base=base, cap=cap, retry_after=error.retry_after, rng=rng)
        another = Retry(min(wait, longest), str(error))
    if isinstance(error, LeaseHeld) or spend(ledger, workflow_budget(workflow), cost=1.0):
        return another
    return GiveUp(_budget_spent(error, workflow))


def _asks_too_long(error: BackbeatError, longest: float) -> bool:
    return not isinstance(error, LeaseHeld) and (error.retry_after or 0.0) > longest


def _budget_spent(error: BaseException, workflow: str) -> BudgetSpent:
    return BudgetSpent(
        f"{_name(error)} (not tried again: the retry budget of {workflow} is spent)",
        hint="mend what fails, then clear or re-execute; the budget gets one retry a minute back",
    )


def _name(error: BaseException) -> str:
    # what another library says may hold a secret, and this is stored and shown
    return error.message if isinstance(error, BackbeatError) else type(error).__name__
