"""One trace span a step, child of the orchestrator's span where it traces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from backbeat.identity import RunIdentity

__all__ = ["step_span"]

_TRACER = trace.get_tracer("backbeat")


@contextmanager
def step_span(kind: str, identity: RunIdentity, key: str) -> Iterator[None]:
    """Perform a block inside a span; free where no tracer is configured.

    Args:
        kind: The step's versioned kind, which names the span.
        identity: Its `traceparent` is the parent where nothing is current already.
        key: The piece of work.
    """
    parent = None
    if identity.traceparent and not trace.get_current_span().get_span_context().is_valid:
        carrier = {"traceparent": identity.traceparent}
        parent = TraceContextTextMapPropagator().extract(carrier)
    attributes: dict[str, str | int] = {
        "backbeat.key": key,
        "backbeat.kind": kind,
        "backbeat.workflow": identity.workflow,
        "backbeat.run": identity.run,
        "backbeat.task": identity.task_key,
        "backbeat.attempt": identity.attempt,
    }
    with _TRACER.start_as_current_span(f"backbeat {kind}", context=parent, attributes=attributes):
        yield
