"""How remote jobs are waited for, as data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["JobPolicy"]


class JobPolicy(BaseModel):
    """How remote jobs are waited for.

    Args:
        poll_seconds: Largest window between two looks at a job; the first is a second, each is
            twice the one before, and within it the moment is chance (full jitter).
        at_a_time: Most jobs of one table that are under way; each is a shard.
        tries: So many jobs are submitted for the same rows, while some of them get no answer,
            before that is an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    poll_seconds: float = Field(default=60.0, gt=0, le=3600)
    at_a_time: int = Field(default=8, ge=1, le=1000)
    tries: int = Field(default=3, ge=1, le=20)
