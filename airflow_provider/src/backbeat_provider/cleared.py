"""What a clear leaves behind: requests that nobody waits for any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backbeat.platform import Platform

__all__ = ["withdraw_earlier"]

_MOST = 10_000


def withdraw_earlier(platform: Platform, context: Mapping[str, Any], request_id: str) -> None:
    """Withdraw what the same task has asked before a person cleared it, and asks anew now.

    Args:
        platform: Whose ledger holds the requests.
        context: The asking attempt's context.
        request_id: What it asks now.
    """
    from backbeat.signoff import withdraw
    from backbeat_provider.identity import run_identity

    now, uncleared = run_identity(context), context["ti"].run_id
    if now.run == uncleared:
        return
    for record in platform.ledger.runs(state="waiting", limit=_MOST):
        then = type(now).model_validate(record.identity)
        same_task = (then.workflow, then.task_key) == (now.workflow, now.task_key)
        same_run = then.run == uncleared or then.run.startswith(f"{uncleared}~")
        if same_task and same_run and record.request_id not in {None, request_id}:
            withdraw(platform.ledger, str(record.request_id))
