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
