"""What people watch a run by: trace spans, and text that holds no secret."""

from backbeat.telemetry.redact import redact
from backbeat.telemetry.span import step_span

__all__ = ["redact", "step_span"]
