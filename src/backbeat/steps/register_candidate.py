"""model.candidate/v1: a model made anywhere becomes a version that can be compared."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, ClassVar

from pydantic import Field, field_validator

from backbeat.ports import Need
from backbeat.reference import DataRef
from backbeat.step import Done, Outcome, Replay, Step, StepContext
from backbeat.steps.exclusive import exclusive
from backbeat.steps.model_reference import registered_model, run_model

__all__ = ["RegisterCandidate"]

_RUN = re.compile(r"(?:runs:/)?(?P<run>[0-9a-f]{32})(?:/(?P<path>.+))?")


class RegisterCandidate(Step):
    """Register a run's model, or a model URI, as a new version; the same source only once.

    Args:
        model: Registered model's name.
        source: A run id, `runs:/<id>/<path>`, or `models:/m-<id>`.
        trained_through: Last day of its training data; a comparison refuses to judge it on days it
            has seen.
        tags: Added to the version.

    Value: `model`, `version`, `uri` (`models:/<name>/<version>`), `run_id`, `link` (the
    version's page, where MLflow is a server).
    """

    kind: ClassVar[str] = "model.candidate/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.REGISTRY, Need.LEDGER})
    replay: ClassVar[Replay] = Replay.CONTENT

    model: str = Field(min_length=1)
    source: str = Field(min_length=1)
    trained_through: date | None = None
    tags: dict[str, str] = Field(default_factory=dict)

    @field_validator("trained_through", mode="before")
    @classmethod
    def _rendered_none(cls, value: Any) -> Any:
        # a template renders a missing value to text
        return None if value in ("", "None") else value

    def required(self) -> frozenset[Need]:
        """The ledger only keeps equal registrations apart: rung 0 registers without."""
        return frozenset({Need.REGISTRY})

    def perform(self, ctx: StepContext) -> Outcome:
        """Register, or find the version that an earlier attempt registered."""
        effect = ctx.effect_id("version", content={"model": self.model, "source": self.source})
        version = ctx.registry.find_version(self.model, effect)
        if version is None:
            tags = dict(self.tags)
            if self.trained_through is not None:
                tags["backbeat.trained_through"] = self.trained_through.isoformat()
            with exclusive(ctx, effect):
                ctx.ensure_current()
                version = ctx.registry.register(
                    self.model, source=self.source, effect_id=effect, tags=tags
                )
        return Done(
            value={
                "model": version.name,
                "version": version.version,
                "uri": version.uri,
                "run_id": version.run_id,
                "link": ctx.registry.link("version", name=version.name, version=version.version),
            },
            inputs=(self._source(),),
            outputs=(registered_model(version),),
        )

    def _source(self) -> DataRef:
        run = _RUN.fullmatch(self.source)
        if run is None:
            return DataRef(uri=self.source, digest=self.source, format="model")
        return run_model(run["run"], run["path"] or "model")
