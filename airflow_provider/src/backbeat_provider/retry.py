"""From a failed attempt to what Airflow does next; the rule itself is the core's.

From 3.3 on, Airflow asks a task's policy (`retry_policy.py`). Before, all that a task can say is
that it fails for good: the delay is computed by the scheduler from the DAG's own fields, whatever
the task has changed in its own process.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator

from backbeat.errors import FinalError
from backbeat.retries import GiveUp, Retry, decide
from backbeat.retries.budget import Spends

__all__ = ["HAS_POLICIES", "final_error", "retry_defaults", "ruling"]

HAS_POLICIES = hasattr(BaseOperator, "retry_policy")
_LONGEST = timedelta(hours=1)


def ruling(error: BaseException, context: Mapping[str, Any]) -> Retry | GiveUp:
    """What the core decides about a failed attempt.

    The task's own `retries`, `retry_delay` (first window) and `max_retry_delay` (largest window,
    else an hour) are followed.

    Args:
        error: What the attempt raised.
        context: The task's context.
    """
    ti, task = context["ti"], context["ti"].task
    first, retries = task.retry_delay, task.retries or 0
    return decide(
        error,
        # a clear grants `retries` anew: Airflow moves max_tries on, and the tries with it
        attempt=ti.try_number - (ti.max_tries - retries),
        retries=retries,
        workflow=f"airflow:{ti.dag_id}",
        ledger=lambda: _ledger(task),
        base=first.total_seconds(),
        cap=(task.max_retry_delay or max(_LONGEST, first)).total_seconds(),
    )


def final_error(error: Exception, context: Mapping[str, Any]) -> FinalError | None:
    """The error that ends a task without a further try; None where Airflow goes on as it would.

    Args:
        error: What the attempt raised.
        context: The task's context.
    """
    if isinstance(error, FinalError):
        return error
    if HAS_POLICIES:
        return None  # the policy is asked after the task, and must not pay twice
    verdict = ruling(error, context)
    given_up = verdict.error if isinstance(verdict, GiveUp) else None
    return given_up if isinstance(given_up, FinalError) else None


def retry_defaults() -> dict[str, Any]:
    """Task arguments that the operators set where neither the task nor the DAG does.

    A policy from 3.3 on. Before, Airflow's own exponential backoff, whose delay is spread over a
    window by a hash of the task instance; without it all tasks of a failed hour return together.
    """
    if HAS_POLICIES:
        from backbeat_provider.retry_policy import BackbeatRetryPolicy

        return {"retry_policy": BackbeatRetryPolicy()}
    # a switch in 3.1, a multiplier in 3.2
    return {"retry_exponential_backoff": type(BaseOperator.retry_exponential_backoff)(2)}


def _ledger(task: Any) -> Spends:
    from backbeat_provider.hooks.backbeat import DEFAULT_CONNECTION, BackbeatHook

    connection = getattr(task, "backbeat_conn_id", DEFAULT_CONNECTION)
    return BackbeatHook(connection).get_platform().ledger
