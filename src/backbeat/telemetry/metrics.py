"""OpenTelemetry metrics of a finished step: what people set alerts on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from opentelemetry import metrics

from backbeat.identity import RunIdentity
from backbeat.step import Blocked, Done, Outcome

__all__ = ["record_outcome"]

_METER = metrics.get_meter("backbeat")


def record_outcome(kind: str, identity: RunIdentity, outcome: Outcome) -> None:
    """Count the outcome and set its numbers as gauges; free where no meter is configured.

    `backbeat.outcomes` counts by kind, status and verdict. Each number of `Done.metrics` is a
    gauge named after the kind, such as `backbeat.drift.check.effect`; what follows the first dot
    of its name, such as a column, is the attribute `of`. A check of expectations, whose value is
    `success`, has the verdict `passed` or `failed`.

    Args:
        kind: The step's versioned kind.
        identity: The attempt; its workflow and its task are attributes.
        outcome: How it ended.
    """
    name = kind.partition("/")[0]
    common = {"workflow": identity.workflow, "task": identity.task}
    said = _verdict(outcome)
    counted = {**common, "kind": name, "status": outcome.status}
    _counter().add(1, {**counted, **({"verdict": said} if said else {})})
    for metric, value in (outcome.metrics if isinstance(outcome, Done) else {}).items():
        base, _, detail = metric.partition(".")
        _gauge(f"backbeat.{name}.{base}").set(
            value, {**common, **({"of": detail} if detail else {})}
        )


def _verdict(outcome: Outcome) -> str:
    value: Mapping[str, Any] = {}
    if isinstance(outcome, Done):
        value = outcome.value
    elif isinstance(outcome, Blocked):
        value = outcome.evidence
    if isinstance(value.get("verdict"), str):
        return str(value["verdict"])
    success = value.get("success")
    return "" if not isinstance(success, bool) else "passed" if success else "failed"


@cache
def _counter() -> metrics.Counter:
    return _METER.create_counter("backbeat.outcomes", unit="1", description="Steps that ended.")


@cache
def _gauge(name: str) -> Any:
    return _METER.create_gauge(name)
