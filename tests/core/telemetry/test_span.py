from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Make = Callable[..., Any]


def test_the_orchestrators_trace_is_carried_without_a_tracer(start_python: Make) -> None:
    """A step's calls carry the orchestrator's trace id; a nonsensical traceparent is none."""
    source = """
import json
from opentelemetry import trace
from backbeat import Actor, RunIdentity
from backbeat.telemetry import step_span
seen = []
for parent in (None, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "nonsense"):
    identity = RunIdentity(workflow="w", run="r", task="t", traceparent=parent,
                           actor=Actor(id="a", method="python"))
    with step_span("toy.step/v1", identity, "sha256:k"):
        found = trace.get_current_span().get_span_context()
        seen.append(format(found.trace_id, "032x"))
print(json.dumps(seen))
"""
    process = start_python(source)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert json.loads(out) == ["0" * 32, "0af7651916cd43dd8448eb211c80319c", "0" * 32]
