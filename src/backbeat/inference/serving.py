"""How a served model is asked about a table: everything beside the rows, as data."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from backbeat.errors import InvalidStep
from backbeat.inference.jobs.policy import JobPolicy
from backbeat.inference.prices import Prices
from backbeat.inference.resilience import Resilience

__all__ = ["Serving", "known_address"]


def known_address(address: str) -> str:
    """The address, where it is one of a served model; a ValueError that says why where not."""
    from backbeat.inference.address import parse_address

    try:
        parse_address(address)
    except InvalidStep as error:
        raise ValueError(f"{error.message} {error.hint}") from error
    return address


class Serving(BaseModel):
    """How a served model is asked.

    Args:
        parameters: The model's own, such as a temperature and a seed.
        request_rows: Rows of a request; what the server prefers, else 256, where None.
        request_bytes: Bytes of a request's values, before they are encoded; 8 MiB, over gRPC just
            under 4, where None. A row of more is a request of its own.
        resilience: Deadline, retries, limit and breaker.
        credentials: Name of the credentials that the platform knows; empty for none.
        fallback: Address of a model that is asked where this one cannot answer.
        confidence: The output that says how sure the model is; `confidence` where None.
        at_least: Rows with less confidence go to `doubtful`, or are marked for `review`.
        doubtful: Address of a model that is asked about those rows.
        max_bad_rows: So many rows may be refused by the model; they go to a side file.
        prices: What the model costs.
        max_calls: Most requests, over all attempts and mapped tasks of the run.
        max_cost: Most money, likewise.
        jobs: How a model is asked whose answers are collected later; see docs/long-jobs.md.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    parameters: dict[str, Any] = Field(default_factory=dict)
    request_rows: int | None = Field(default=None, ge=1)
    request_bytes: int | None = Field(default=None, ge=1)
    resilience: Resilience = Resilience()
    credentials: str = ""
    fallback: str | None = None
    confidence: str | None = None
    at_least: float | None = Field(default=None, ge=0, le=1)
    doubtful: str | None = None
    max_bad_rows: int = Field(default=0, ge=0)
    prices: Prices = Prices()
    max_calls: int | None = Field(default=None, ge=1)
    max_cost: float | None = Field(default=None, gt=0)
    jobs: JobPolicy = JobPolicy()

    @field_validator("fallback", "doubtful")
    @classmethod
    def _addresses(cls, address: str | None) -> str | None:
        return address if address is None else known_address(address)

    @model_validator(mode="after")
    def _routes(self) -> Serving:
        if self.at_least is None and (self.doubtful or self.confidence):
            raise ValueError("`doubtful` and `confidence` say nothing without `at_least`")
        return self
