"""What a model costs."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Prices"]

_MILLION = 1_000_000


class Prices(BaseModel):
    """What a model costs, in one currency of yours.

    Args:
        a_call: For each request that was answered.
        a_second: For each second that a request took.
        a_million_input_tokens: As the server counts them.
        a_million_output_tokens: As the server counts them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    a_call: float = Field(default=0.0, ge=0)
    a_second: float = Field(default=0.0, ge=0)
    a_million_input_tokens: float = Field(default=0.0, ge=0)
    a_million_output_tokens: float = Field(default=0.0, ge=0)

    def cost(self, *, calls: int, seconds: float, usage: Mapping[str, int]) -> float:
        """What so many calls cost together."""
        return (
            self.a_call * calls
            + self.a_second * seconds
            + self.a_million_input_tokens * usage.get("input_tokens", 0) / _MILLION
            + self.a_million_output_tokens * usage.get("output_tokens", 0) / _MILLION
        )
