"""`alert_sensor`: hands what the checks found to a function of yours, once for a cause."""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg

from backbeat.alerts import Alert, Told
from backbeat.platform import Platform
from backbeat.telemetry import redact
from dagster_backbeat.outcome import StepRun

__all__ = ["alert_sensor", "with_alert"]

_KEY = "backbeat/alert"
# of each check: a backfill that ends between two ticks tells its latest batches
_LOOKED_AT = 100
_TRIES = 5


def with_alert(result: dg.AssetCheckResult, run: StepRun) -> dg.AssetCheckResult:
    """A check's result with what `alert_sensor` is to tell of it; itself where that is nothing.

    Args:
        result: The result.
        run: The run that has performed the step.
    """
    if run.alert is None and not run.monitor:
        return result
    found = {
        "kind": run.kind,
        "monitor": run.monitor,
        "partition": run.batch,
        "alert": asdict(run.alert) if run.alert else None,
    }
    return dg.AssetCheckResult(
        passed=result.passed,
        asset_key=result.asset_key,
        check_name=result.check_name,
        metadata={**result.metadata, _KEY: dg.MetadataValue.json(found)},
        severity=result.severity,
        description=result.description,
    )


def alert_sensor(
    *,
    send: Callable[[Alert], Any],
    name: str = "backbeat_alerts",
    minimum_interval_seconds: int = 60,
    resource_key: str = "backbeat",
) -> dg.SensorDefinition:
    """A sensor that hands each alert of a check to a function, from its first tick on.

    With a monitor the same cause is told once, see `backbeat.alerts.Told`. Where the function
    raises, the next tick tries again, five times in all; then the alert is only logged.

    Args:
        send: Tells people, such as `lambda alert: slack.get_client().chat_postMessage(...)`.
        name: The sensor's name.
        minimum_interval_seconds: How often it looks.
        resource_key: The `BackbeatResource` whose store has the monitors.
    """

    @dg.sensor(  # type: ignore[untyped-decorator]
        name=name,
        minimum_interval_seconds=minimum_interval_seconds,
        required_resource_keys={resource_key},
        description="Tells people what the checks have found.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        cursor = json.loads(context.cursor) if context.cursor else None
        if cursor is None:
            # what was found before there was a sensor is no news
            context.update_cursor(json.dumps({"after": time.time(), "failed": 0}))
            return dg.SkipReason("from now on")
        told = 0
        platform = getattr(context.resources, resource_key).platform
        for entry in _evaluations(context, cursor["after"]):
            try:
                told += _told(entry, send, platform)
            except Exception as error:  # noqa: BLE001 - whatever their function raises
                cursor["failed"] += 1
                context.log.warning("nobody could be told: %s", redact(str(error)))
                if cursor["failed"] < _TRIES:
                    break
            cursor = {"after": entry.timestamp, "failed": 0}
        context.update_cursor(json.dumps(cursor))
        return dg.SkipReason(f"{told} alerts were told")

    found: dg.SensorDefinition = sensor
    return found


def _told(entry: dg.EventLogEntry, send: Callable[[Alert], Any], platform: Platform) -> bool:
    event = entry.dagster_event
    metadata: Mapping[str, Any] = event.event_specific_data.metadata if event else {}
    if _KEY not in metadata:
        return False
    found = metadata[_KEY].value
    given = found["alert"]
    alert = Alert(**{**given, "columns": tuple(given["columns"])}) if given else None
    monitor = found["monitor"]
    known = Told(platform.store, monitor, found["kind"]) if monitor else None
    news = alert is not None and (known is None or known.is_news(alert))
    if news and alert is not None:
        send(alert)
    if known is not None:
        known.note(found["partition"], alert, told=news)
    return news


def _evaluations(context: dg.SensorEvaluationContext, after: float) -> list[dg.EventLogEntry]:
    """The evaluations since a moment, of all checks of the code location, in order."""
    repository = context.repository_def
    keys = repository.asset_graph.asset_check_keys if repository else ()
    found = [
        record.event
        for key in keys
        for record in context.instance.event_log_storage.get_asset_check_execution_history(
            key, limit=_LOOKED_AT
        )
        if record.event is not None and record.event.timestamp > after
    ]
    evaluated = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    return sorted(
        (entry for entry in found if entry.dagster_event_type is evaluated),
        key=lambda entry: entry.timestamp,
    )
