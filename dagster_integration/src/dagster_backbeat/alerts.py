"""`alert_sensor`: hands what the checks found to a function of yours, once for a cause."""

# Dagster reads the context's annotation as an object: no postponed annotations in this file

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import dagster as dg

from backbeat.alerts import Alert, Told
from backbeat.platform import Platform
from backbeat.telemetry import redact
from dagster_backbeat._compat import AssetCheckExecutionRecord
from dagster_backbeat._compat import AssetCheckExecutionRecordStatus as Status
from dagster_backbeat.outcome import StepRun

__all__ = ["alert_sensor", "with_alert"]

_KEY = "backbeat/alert"
_PAGE = 25
_TRIES = 5
# an evaluation has the time of the machine that made it, and is stored a moment later
_LATE_SECONDS = 600.0
# a look that takes longer is given up by Dagster, and its cursor with it
_LONGEST_SECONDS = 30.0


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
    raises, the next tick tries again, five times in all; then the alert is only logged. A tick that
    is killed after it has told may tell again.

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
        cursor = _Cursor.read(context.cursor)
        if cursor is None:
            # what was found before there was a sensor is no news
            context.update_cursor(_Cursor(since=time.time()).written())
            return dg.SkipReason("from now on")
        told, until = 0, time.monotonic() + _LONGEST_SECONDS
        platform = getattr(context.resources, resource_key).platform
        for place, entry in _evaluations(context, cursor):
            try:
                told += _told(entry, send, platform)
            except Exception as error:  # noqa: BLE001 - whatever their function raises
                cursor.failed += 1
                context.log.warning("nobody could be told: %s", redact(str(error)))
                if cursor.failed < _TRIES:
                    break
            cursor.passed(place, entry.timestamp)
            if time.monotonic() > until:
                break
        context.update_cursor(cursor.written())
        return dg.SkipReason(f"{told} alerts were told")

    found: dg.SensorDefinition = sensor
    return found


@dataclass
class _Cursor:
    """How far the sensor has looked.

    Args:
        since: When it began, in seconds of the epoch.
        after: The latest evaluation that it has dealt with.
        seen: Those of the last minutes, each with its time.
        failed: How often the next one could not be told.
    """

    since: float = 0.0
    after: float = 0.0
    seen: dict[str, float] = field(default_factory=dict)
    failed: int = 0

    @classmethod
    def read(cls, text: str | None) -> "_Cursor | None":
        return cls(**json.loads(text)) if text else None

    def written(self) -> str:
        return json.dumps(asdict(self))

    @property
    def floor(self) -> float:
        """Earlier evaluations are dealt with, or are none of its business."""
        return max(self.since, self.after - _LATE_SECONDS)

    def passed(self, place: str, at: float) -> None:
        """Remember that an evaluation is dealt with."""
        # a clock that is ahead must not hide what the others say
        self.after, self.failed = max(self.after, min(at, time.time())), 0
        self.seen[place] = at
        self.seen = {key: then for key, then in self.seen.items() if then > self.floor}


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


def _evaluations(
    context: dg.SensorEvaluationContext, cursor: _Cursor
) -> list[tuple[str, dg.EventLogEntry]]:
    """What was evaluated since the cursor, of all checks of the code location, in order."""
    repository = context.repository_def
    keys = repository.asset_graph.asset_check_keys if repository else ()
    found = [
        (f"{record.id}:{record.event.timestamp}", record.event)
        for key in keys
        for record in _latest(context.instance, key, after=cursor.floor)
        if record.event is not None
    ]
    return sorted(
        (item for item in found if item[0] not in cursor.seen),
        key=lambda item: item[1].timestamp,
    )


def _latest(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, *, after: float
) -> Iterator[AssetCheckExecutionRecord]:
    """A check's evaluations after a moment; those that a queued run has only planned are none."""
    last: int | None = None
    while True:
        page = instance.event_log_storage.get_asset_check_execution_history(
            key,
            limit=_PAGE,
            cursor=last,
            status={Status.SUCCEEDED, Status.FAILED},
        )
        new = [item for item in page if item.event and item.event.timestamp > after]
        yield from new
        # runs end in another order than they were planned in, though not by whole pages
        if not new or len(page) < _PAGE:
            return
        last = page[-1].id
