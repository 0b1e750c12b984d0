"""OpenTelemetry of calls to model servers: a span each, and what people draw curves of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache

from opentelemetry import metrics, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["BREAKER_STATES", "call_span", "record_breaker", "record_call", "trace_headers"]

BREAKER_STATES = {"closed": 0.0, "half-open": 0.5, "open": 1.0}
"""What a breaker's state is as a number."""

_TRACER = trace.get_tracer("backbeat")
_METER = metrics.get_meter("backbeat")
_NOBODY = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
_CONTEXT = TraceContextTextMapPropagator()


def call_span(address: str, *, request_id: str) -> AbstractContextManager[None]:
    """Ask a model inside a span, child of the step's; free where no tracer is configured.

    Args:
        address: The model's address, which holds no secret.
        request_id: Ours.
    """
    # a span that nobody sees still costs as much as reading the answer
    if isinstance(trace.get_tracer_provider(), _NOBODY):
        return nullcontext()
    return _span(address, request_id=request_id)


@contextmanager
def _span(address: str, *, request_id: str) -> Iterator[None]:
    attributes = {"backbeat.address": address, "backbeat.request_id": request_id}
    with _TRACER.start_as_current_span(
        "backbeat predict", kind=trace.SpanKind.CLIENT, attributes=attributes
    ):
        yield


def trace_headers() -> dict[str, str]:
    """`traceparent` and `tracestate` of the current span; nothing where nobody traces."""
    found: dict[str, str] = {}
    _CONTEXT.inject(found)
    return found


def record_call(origin: str, *, seconds: float, attempts: int, usage: Mapping[str, int]) -> None:
    """Note an answered call: its time, its retries, its tokens; free where no meter is configured.

    Args:
        origin: The server; an attribute of each number.
        seconds: From the first attempt to the answer.
        attempts: Requests that were sent for it.
        usage: Counted by the server: `input_tokens`, `output_tokens`.
    """
    at = {"server": origin}
    _seconds().record(seconds, at)
    if attempts > 1:
        _count("retries").add(attempts - 1, at)
    for name, tokens in usage.items():
        _count(name).add(tokens, at)


def record_breaker(origin: str, state: str) -> None:
    """Note that a breaker's state has changed; free where no meter is configured.

    Args:
        origin: The server; an attribute of each number.
        state: `closed`, `half-open` or `open`, see `BREAKER_STATES`.
    """
    at = {"server": origin}
    _breaker().set(BREAKER_STATES[state], at)
    if state == "open":
        _count("breaker_opened").add(1, at)


@cache
def _breaker() -> metrics._Gauge:
    return _METER.create_gauge(
        "backbeat.inference.breaker", description="0 closed, 0.5 half-open, 1 open."
    )


@cache
def _seconds() -> metrics.Histogram:
    return _METER.create_histogram(
        "backbeat.inference.seconds", unit="s", description="Time to a model's answer."
    )


@cache
def _count(name: str) -> metrics.Counter:
    return _METER.create_counter(f"backbeat.inference.{name}", unit="1")
