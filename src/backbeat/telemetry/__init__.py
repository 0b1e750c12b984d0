"""What people watch a run by: trace spans, metrics, and text that holds no secret."""

from backbeat.redact import redact
from backbeat.telemetry.metrics import record_outcome
from backbeat.telemetry.span import step_span

__all__ = ["record_outcome", "redact", "step_span"]
