"""model.promote/v1: the alias moves to the version that was signed off."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from backbeat.errors import Refused
from backbeat.ports import Need
from backbeat.promotion import approved_by, promote
from backbeat.reference import DataRef
from backbeat.step import Done, Outcome, Replay, Step, StepContext
from backbeat.steps.model_reference import registered_model

__all__ = ["PromoteModel"]


class PromoteModel(Step):
    """Point an alias at a version, once, if it still points where the evidence saw it.

    Args:
        model: Registered model's name.
        version: Where the alias is to point.
        expected: The version that the evidence saw behind the alias; None for no alias yet.
        alias: Such as `champion`.
        request_id: The sign-off that must have approved exactly this version; None demands none.
        in_backfill: Whether a backfill may promote too.

    Value: `model`, `version`, `previous`, `alias`, `changed`, `by` (who signed off).
    """

    kind: ClassVar[str] = "model.promote/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.REGISTRY, Need.LEDGER})
    replay: ClassVar[Replay] = Replay.VERIFY

    model: str = Field(min_length=1)
    version: str = Field(min_length=1)
    expected: str | None = None
    alias: str = "champion"
    request_id: str | None = None
    in_backfill: bool = False

    @field_validator("expected", mode="before")
    @classmethod
    def _rendered_none(cls, value: Any) -> Any:
        # a template renders a missing value to text
        return None if value in ("", "None") else value

    @field_validator("request_id")
    @classmethod
    def _rendered_request(cls, value: str | None) -> str | None:
        # here a missing value must not pass for "none is demanded"
        if value in ("", "None"):
            raise ValueError(
                "a sign-off is demanded and none is named: has its task been skipped or marked "
                "success?"
            )
        return value

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin the version: it must exist."""
        return {"model": ctx.registry.resolve(f"models:/{self.model}/{self.version}").uri}

    def perform(self, ctx: StepContext) -> Outcome:
        """Check the sign-off and the policy again, then compare and set."""
        by: tuple[str, ...] = ()
        if self.request_id is not None:
            by = approved_by(ctx.ledger, self.request_id, model=self.model, version=self.version)
        facts = {"model": self.model, "version": self.version, "in_backfill": self.in_backfill}
        verdict = ctx.policy.decide("model.promote", identity=ctx.identity, facts=facts)
        if not verdict.allowed:
            raise Refused(
                f"policy does not let {self.model} be promoted: {verdict.reason}",
                hint="promote from a run that policy allows",
            )
        effect = ctx.effect_id("alias")
        done = promote(
            ledger=ctx.ledger,
            registry=ctx.registry,
            model=self.model,
            version=self.version,
            alias=self.alias,
            expected=self.expected,
            effect_id=effect,
            ensure_current=ctx.ensure_current,
            decision=self.digest(),
        )
        return Done(
            value={
                "model": self.model,
                "version": self.version,
                "previous": done.previous,
                "alias": self.alias,
                "changed": done.changed,
                "by": list(by),
            },
            inputs=(registered_model(ctx.registry.resolve(ctx.inputs["model"])),),
            outputs=(
                DataRef(
                    uri=f"models:/{self.model}@{self.alias}", digest=self.version, format="model"
                ),
            ),
            evidence={"effect": effect, "request_id": self.request_id},
        )
