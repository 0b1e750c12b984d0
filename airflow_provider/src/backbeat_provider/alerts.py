"""Alerts through the notifiers that people already have; never a reason to fail."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any

from backbeat.alerts import Told, alert_of
from backbeat.platform import Platform
from backbeat.step import Outcome
from backbeat.telemetry import redact

__all__ = ["tell"]

_log = logging.getLogger(__name__)


def tell(
    notifiers: Sequence[Callable[[Any], Any]],
    outcome: Outcome,
    *,
    kind: str,
    context: Any,
    platform: Platform,
    monitor: str,
    partition: str,
    report: str,
) -> None:
    """Hand an outcome's alert to each notifier; with a monitor, once for a cause.

    A notifier finds it as `alert` in its context, so that `{{ alert.title }}` and
    `{{ alert.text }}` can stand in its templated fields. What a notifier raises is logged; people
    are told by the next batch then.

    Args:
        notifiers: Airflow's notifiers, or anything that is called with a context.
        outcome: How the step ended.
        kind: The step's versioned kind.
        context: The task's context.
        platform: Where the monitor is.
        monitor: The step's monitor; empty for none.
        partition: The batch's name.
        report: Address of the report.
    """
    try:
        from backbeat_provider.identity import run_identity

        identity = run_identity(context)
        alert = alert_of(
            kind, outcome, identity=identity, monitor=monitor, partition=partition, report=report
        )
        known = Told(platform.store, monitor, kind) if monitor else None
        news = alert is not None and (known is None or known.is_news(alert))
        told = False
        if news:
            answers = [_told(notifier, {**context, "alert": alert}) for notifier in notifiers]
            told = any(answers)
        if known is not None:
            known.note(partition, alert, told=told)
    except Exception as error:  # noqa: BLE001 - a check must not fail of its messages
        _log.warning("nobody could be told: %s", redact(str(error)))


def _told(notifier: Callable[[Any], Any], context: dict[str, Any]) -> bool:
    try:
        # it renders its fields in place, and another attempt must find the templates
        copy.copy(notifier)(context)
    except Exception as error:  # noqa: BLE001 - the others are told all the same
        name = type(notifier).__name__
        _log.warning("%s did not tell anybody: %s", name, redact(str(error)))
        return False
    return True
