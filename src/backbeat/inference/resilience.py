"""How a client behaves towards a model server that is slow, full or ill: one policy, as data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Resilience"]


class Resilience(BaseModel):
    """The policy of all calls to one model.

    Args:
        deadline_seconds: For one answer: every attempt, and every wait between two.
        attempt_seconds: For one attempt; whatever is left of the deadline where None.
        attempts: At most so many for one answer, the first included. Retries of all workers
            together are held to a tenth of the calls by the endpoint's retry budget.
        base_seconds: Window of the first wait between attempts; it doubles, with full jitter.
        cap_seconds: Largest window.
        in_flight: Most requests at a time. Fewer are sent while the server is full or slow.
        breaker_failures: So many failures, of all workers within a minute, open the breaker: then
            nothing is sent. Each call that goes well makes up for some, see `breaker_rate`.
        breaker_rate: Share of failing calls from which on the breaker opens.
        breaker_seconds: How long it stays open before one worker sends one call to try.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    deadline_seconds: float = Field(default=30.0, gt=0, le=86_400)
    attempt_seconds: float | None = Field(default=None, gt=0, le=86_400)
    attempts: int = Field(default=4, ge=1, le=100)
    base_seconds: float = Field(default=0.1, ge=0, le=3600)
    cap_seconds: float = Field(default=5.0, ge=0, le=3600)
    in_flight: int = Field(default=32, ge=1, le=4096)
    breaker_failures: int = Field(default=10, ge=1, le=10_000)
    breaker_rate: float = Field(default=0.8, gt=0, lt=1)
    breaker_seconds: float = Field(default=15.0, gt=0, le=3600)
