"""What may be spent on retries: one budget a workflow, one an endpoint, shared by all workers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from backbeat.ports import Budget
from backbeat.retries.local import spend_locally

__all__ = ["EARNED_PER_CALL", "EndpointBudget", "Spends", "spend", "workflow_budget"]

# just below a tenth, so that with the reserve the calls sent stay within 1.1 of any thousand wanted
EARNED_PER_CALL = 0.09
_RESERVE = 10.0
_WORKFLOW_CAPACITY = 60.0
_WORKFLOW_REFILL = 60.0 / 3600.0
_LEDGER_PAUSE_SECONDS = 30.0
_log = logging.getLogger(__name__)


class Spends(Protocol):
    """The part of a ledger that retries need."""

    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        """Put `earned` tokens in, then take `cost` out if they are there."""


def workflow_budget(workflow: str) -> Budget:
    """One retry a minute over all tasks and runs of a workflow, and up to 60 saved up.

    Args:
        workflow: Orchestrator and DAG or job, such as `airflow:nightly`.
    """
    return Budget(workflow, capacity=_WORKFLOW_CAPACITY, refill_per_second=_WORKFLOW_REFILL)


def spend(
    ledger: Callable[[], Spends], budget: Budget, *, cost: float, earned: float = 0.0
) -> bool:
    """Pay from the shared budget, or from this process's own where the ledger does not answer.

    Deciding about an error must not become another error: whatever the ledger raises is logged.

    Args:
        ledger: Opens the ledger; only called now.
        budget: What to pay from.
        cost: Tokens to take out.
        earned: Tokens to put in first.
    """
    try:
        return ledger().spend(budget, cost=cost, earned=earned)
    except Exception as error:  # noqa: BLE001 - see above
        _unanswered(budget, error)
        return spend_locally(budget, cost=cost, earned=earned)


class EndpointBudget:
    """A share of the calls to one endpoint that may be retries, whoever sends them.

    Each call that is wanted earns 0.09 tokens and each retry costs one; the reserve is ten. So
    retries never add more than a tenth to what is sent over a thousand calls (a retry budget as in
    Beyer et al., "Site Reliability Engineering", 2016, chapter 21). Calls are counted in memory,
    and the count is put into the ledger when a retry is wanted: a call that succeeds touches no
    ledger. One that was refused asks again when it has earned a token itself, so that an outage
    does not turn into a storm of questions to the ledger.

    Args:
        endpoint: Address of the server; its scheme, host and port name the budget.
        ledger: Opens the ledger that the workers share; called when a retry is first wanted.
    """

    def __init__(self, endpoint: str, ledger: Callable[[], Spends]) -> None:
        self.budget = Budget(f"endpoint:{_origin(endpoint)}", capacity=_RESERVE)
        self._ledger = ledger
        self._lock = threading.Lock()
        self._earned = 0.0
        self._refused = False
        self._ask_ledger_at = 0.0

    def earn(self) -> None:
        """Count a call that is wanted, once, however often it will be sent."""
        with self._lock:
            self._earned = min(self.budget.capacity, self._earned + EARNED_PER_CALL)

    def grant(self) -> bool:
        """Pay for one retry; False where there is nothing left to pay with."""
        with self._lock:
            if self._refused and self._earned < 1.0:
                return False
            earned, self._earned = self._earned, 0.0
        granted = self._spend(earned)
        with self._lock:
            self._refused = not granted
        return granted

    def _spend(self, earned: float) -> bool:
        if time.monotonic() >= self._ask_ledger_at:
            try:
                return self._ledger().spend(self.budget, cost=1.0, earned=earned)
            except Exception as error:  # noqa: BLE001 - a call must not fail of its accounting
                _unanswered(self.budget, error)
                self._ask_ledger_at = time.monotonic() + _LEDGER_PAUSE_SECONDS
        return spend_locally(self.budget, cost=1.0, earned=earned)


def _unanswered(budget: Budget, error: Exception) -> None:
    _log.warning("the ledger does not answer for the budget %s: %s", budget.name, error)


def _origin(endpoint: str) -> str:
    # neither a password nor a token in the query may reach the ledger
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
