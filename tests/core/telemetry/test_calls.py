"""What OpenTelemetry is told of calls to model servers."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import asyncio, json
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))

import pyarrow as pa
from backbeat.errors import Unreachable
from backbeat.inference import InferenceClient, Resilience
from backbeat.testing import model_server

async def run(server):
    policy = Resilience(attempts=2, base_seconds=0, breaker_failures=3, breaker_seconds=0.1)
    async with InferenceClient(server.address, resilience=policy) as client:
        rows = pa.record_batch({"x": [1.0]})
        server.failing = [(500, {})]
        await client.predict(rows)
        server.failing = [(500, {})] * 20
        for _ in range(9):
            try:
                await client.predict(rows, seconds=0.05)
            except Unreachable:
                pass
            if client.breaker != "closed":
                break
        states = [value("breaker")]
        server.failing = []
        await client.predict(rows)
        states.append(value("breaker"))
        print(json.dumps(states))

def found():
    data = reader.get_metrics_data()
    return {m.name.removeprefix("backbeat.inference."): m.data.data_points
            for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}

def value(name):
    return found()[name][0].value

with model_server() as server:
    asyncio.run(run(server))
    at = f"http://127.0.0.1:{server.port}"
points = found()
assert {p.attributes["server"] for each in points.values() for p in each} == {at}
print(json.dumps([points["seconds"][0].count, value("retries"), value("breaker_opened")]))
"""


def test_times_retries_and_the_breaker_are_told_by_server() -> None:
    """A histogram that quantiles are made of, counts, and the state as it changes."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    states, (answered, retries, opened) = map(json.loads, done.stdout.splitlines())
    assert states == [1.0, 0.0]
    assert (answered, retries) == (2, 1)
    assert opened >= 1
