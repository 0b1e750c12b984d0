"""drift.profile/v1: what the data looked like, small enough to keep for ever."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from pydantic import Field

from backbeat.data import require_columns
from backbeat.errors import InvalidData
from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Replay, Step, StepContext
from backbeat.steps.pinned import open_pinned, pin

__all__ = ["BuildProfile"]


class BuildProfile(Step):
    """Profile a table and, where a model version is named, bind the profile to it.

    Args:
        data: The table; scanned twice, in bounded memory.
        output_key: Store key of the profile.
        columns: Which columns; all where None.
        bins: Frozen quantile bins of a numeric column.
        model: `models:/<name>/<version>` that was made from this data; None binds to nothing.

    Value: `profile` (store key), `digest`, `rows`, `columns`, `model`.
    """

    kind: ClassVar[str] = "drift.profile/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE, Need.REGISTRY})
    replay: ClassVar[Replay] = Replay.CONTENT

    data: Dataset
    output_key: str = Field(min_length=1)
    columns: tuple[str, ...] | None = None
    bins: int = Field(default=1000, ge=10, le=10_000)
    model: str | None = None

    def required(self) -> frozenset[Need]:
        """A registry only where a model version is named: rung 0 has none."""
        return self.needs if self.model is not None else frozenset({Need.STORE})

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin the table, and the model version where one is named."""
        inputs = {"data": pin(ctx, self.data)}
        if self.model is not None:
            inputs["model"] = ctx.registry.resolve(self.model).uri
        return inputs

    def perform(self, ctx: StepContext) -> Outcome:
        """Build, write and bind the profile."""
        from backbeat.drift import build_profile

        table, refs = open_pinned(ctx, "data", self.data)
        require_columns(table, self.columns or (), what="data")
        profile = build_profile(table, columns=self.columns, bins=self.bins)
        if profile.rows == 0:
            raise InvalidData(
                f"{self.data.uri} has no rows: a profile of it would be compared with nothing",
                hint="check that the data has landed",
            )
        content = profile.to_bytes()
        ctx.ensure_current()
        ctx.store.write(self.output_key, content)
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        value: dict[str, Any] = {
            "profile": self.output_key,
            "digest": found,
            "rows": profile.rows,
            "columns": len(profile.columns),
        }
        if self.model is not None:
            version = ctx.registry.resolve(ctx.inputs["model"])
            ctx.registry.tag_version(
                version.name, version.version, {"backbeat.profile": self.output_key}
            )
            value["model"] = version.uri
        return Done(
            value=value,
            metrics={"rows": profile.rows},
            inputs=refs,
            outputs=(DataRef(uri=self.output_key, digest=found, format="json"),),
        )
