"""When a retry is due (Airflow 3.3 and later): an error that knows its delay is believed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from backbeat.errors import BackbeatError

__all__ = ["RetryAfter"]


class RetryAfter(RetryPolicy):  # type: ignore[misc]
    """The operators' default: Retry-After where the error has one, else Airflow's own rules."""

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Any = None,
    ) -> RetryDecision:
        """Decide in the worker, with the exception at hand; never more retries than `retries`."""
        if isinstance(exception, BackbeatError) and exception.retry_after is not None:
            return RetryDecision.retry(
                delay=timedelta(seconds=exception.retry_after), reason=str(exception)
            )
        return RetryDecision.default()
