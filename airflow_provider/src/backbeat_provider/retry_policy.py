"""The operators' default retry policy (Airflow 3.3 and later)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from backbeat.retries import GiveUp
from backbeat_provider.retry import ruling

__all__ = ["BackbeatRetryPolicy"]


class BackbeatRetryPolicy(RetryPolicy):  # type: ignore[misc]
    """Error classes decide, with full jitter, Retry-After, and a budget a DAG in the ledger.

    It fits any task, not only backbeat's operators: what another library raises follows Airflow's
    own rules, and pays from the same budget.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Any = None,
    ) -> RetryDecision:
        """Decide in the worker, with the exception at hand; never more retries than `retries`."""
        if context is None or try_number > max_tries:
            return RetryDecision.default()  # Airflow's own failure, with its counts
        verdict = ruling(exception, context)
        if isinstance(verdict, GiveUp):
            return RetryDecision.fail(reason=verdict.reason)
        if verdict.after_seconds is None:
            return RetryDecision.default()
        delay = timedelta(seconds=verdict.after_seconds)
        return RetryDecision.retry(delay=delay, reason=verdict.reason)
