"""Retries that don't storm: who may try again, when, and out of which budget."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.retries.backoff import seconds_to_wait
    from backbeat.retries.budget import EndpointBudget, workflow_budget
    from backbeat.retries.calling import acall, call
    from backbeat.retries.decision import GiveUp, Retry, decide
    from backbeat.retries.local import spend_locally

__all__ = [
    "EndpointBudget",
    "GiveUp",
    "Retry",
    "acall",
    "call",
    "decide",
    "seconds_to_wait",
    "spend_locally",
    "workflow_budget",
]

_HOMES = {
    "EndpointBudget": "backbeat.retries.budget",
    "GiveUp": "backbeat.retries.decision",
    "Retry": "backbeat.retries.decision",
    "acall": "backbeat.retries.calling",
    "call": "backbeat.retries.calling",
    "decide": "backbeat.retries.decision",
    "seconds_to_wait": "backbeat.retries.backoff",
    "spend_locally": "backbeat.retries.local",
    "workflow_budget": "backbeat.retries.budget",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.retries' has no attribute {name!r}")
