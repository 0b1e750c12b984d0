from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

SCRIPT = """
import json
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
import backbeat
from backbeat import Actor, Done, RunIdentity, Step, embedded, run_step

class Look(Step):
    kind = "test.look/v1"
    def perform(self, ctx):
        return Done(value={"verdict": "drifted"}, metrics={"drifted": 2.0, "effect.air_time": 0.25})

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
run = RunIdentity(workflow="nightly", run="r", task="t", actor=Actor(id="ana", method="python"))
run_step(Look(), run, embedded(FOLDER, registry=False))
found = {}
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        if scope.scope.name == "backbeat":
            for metric in scope.metrics:
                points = [[dict(p.attributes), p.value] for p in metric.data.data_points]
                found[metric.name] = points
print(json.dumps(found))
"""


def test_a_finished_step_counts_and_sets_its_numbers(
    tmp_path: Any, start_python: Callable[..., Any]
) -> None:
    """With a meter configured, a step's verdict is counted and its numbers are gauges."""
    process = start_python(SCRIPT.replace("FOLDER", repr(str(tmp_path))))
    output, errors = process.communicate("", timeout=60)
    assert process.returncode == 0, errors
    where = {"workflow": "nightly", "task": "t"}
    assert json.loads(output.splitlines()[-1]) == {
        "backbeat.outcomes": [
            [{**where, "kind": "test.look", "status": "done", "verdict": "drifted"}, 1]
        ],
        "backbeat.test.look.drifted": [[where, 2.0]],
        "backbeat.test.look.effect": [[{**where, "of": "air_time"}, 0.25]],
    }


CHECKS = """
import json
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from backbeat import Actor, Blocked, Done, RunIdentity
from backbeat.telemetry import record_outcome

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
run = RunIdentity(workflow="nightly", run="r", task="t", actor=Actor(id="ana", method="python"))
for outcome in (
    Done(value={"success": True}, metrics={"failed": 0.0}),
    Done(value={"success": False}, metrics={"failed": 2.0}),
    Blocked(reason="1 failed", evidence={"success": False}),
    Blocked(reason="people said no"),
):
    record_outcome("quality.check/v1", run, outcome)
found = {}
for resource in reader.get_metrics_data().resource_metrics:
    for metric in resource.scope_metrics[0].metrics:
        found[metric.name] = [
            [p.attributes.get("status"), p.attributes.get("verdict"), p.value]
            for p in metric.data.data_points
        ]
print(json.dumps(found))
"""


def test_expectations_have_a_verdict_too(start_python: Callable[..., Any]) -> None:
    """Data that breaks them is counted as failed, whether it blocks the night or is reported."""
    process = start_python(CHECKS)
    output, errors = process.communicate("", timeout=60)
    assert process.returncode == 0, errors
    assert json.loads(output.splitlines()[-1]) == {
        "backbeat.outcomes": [
            ["done", "passed", 1],
            ["done", "failed", 1],
            ["blocked", "failed", 1],
            ["blocked", None, 1],
        ],
        "backbeat.quality.check.failed": [[None, None, 2.0]],
    }
