"""drift.profile/v1: what the data looked like, small enough to keep for ever."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from backbeat.data import require_columns
from backbeat.errors import InvalidData, NotFound
from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Replay, Step, StepContext
from backbeat.steps.pinned import open_pinned, pin
from backbeat.steps.profile_reference import profile_key

if TYPE_CHECKING:
    from backbeat.drift import Profile

__all__ = ["BuildProfile"]

_EDGES = "edges_from"


class BuildProfile(Step):
    """Profile a table and, where a model version is named, bind the profile to it.

    Args:
        data: The table; scanned twice, in bounded memory.
        output_key: Store key of the profile.
        columns: Which columns; all where None.
        bins: Frozen quantile bins of a numeric column.
        model: `models:/<name>/<version>` that was made from this data; None binds to nothing.
        kinds: How a column is read where its type does not say, by its name.
        given: Columns that are also watched given those that explain them, such as
            `{"air_time": ["distance"]}`.
        by: Columns whose values make segments, in the same pass.
        edges_from: Count on the edges of this profile, so that the two compare: a store key, or
            `models:/<name>@<alias>` for the profile that is bound to that model version.
        partition: The batch's name, such as its ISO day, or `first/last` of a span of them.
        monitor: Store prefix of a monitor whose history gets the batch; without `edges_from`, the
            monitor's own reference gives the edges. Empty writes into no history.

    Value: `profile` (store key), `digest`, `rows`, `columns`, `model`.

    With a monitor also `batch` (the batch's store key in its history).
    """

    kind: ClassVar[str] = "drift.profile/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE, Need.REGISTRY})
    replay: ClassVar[Replay] = Replay.CONTENT

    data: Dataset
    output_key: str = Field(min_length=1)
    columns: tuple[str, ...] | None = None
    bins: int = Field(default=1000, ge=10, le=10_000)
    model: str | None = None
    kinds: dict[str, Literal["text", "embedding", "category", "number"]] | None = None
    given: dict[str, tuple[str, ...]] | None = None
    by: tuple[str, ...] = ()
    edges_from: str | None = None
    partition: str = ""
    monitor: str = ""

    @model_validator(mode="after")
    def _named_batch(self) -> BuildProfile:
        if self.monitor and not self.partition:
            raise ValueError("`monitor` needs `partition`: the batch's name, such as its day")
        return self

    def required(self) -> frozenset[Need]:
        """A registry only where a model version is named: rung 0 has none."""
        named = self.model is not None or (self.edges_from or "").startswith("models:/")
        return self.needs if named else frozenset({Need.STORE})

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin the table, the model version, and the profile that gives the edges."""
        inputs = {"data": pin(ctx, self.data)}
        if self.model is not None:
            inputs["model"] = ctx.registry.resolve(self.model).uri
        key = self._edges_key(ctx)
        if key is not None:
            inputs[_EDGES] = key
            inputs[f"{_EDGES}.digest"] = _digest(ctx.store.read(key))
        return inputs

    def perform(self, ctx: StepContext) -> Outcome:
        """Build, write and bind the profile."""
        from backbeat.drift import build_profile

        table, refs = open_pinned(ctx, "data", self.data)
        require_columns(table, self.columns or (), what="data")
        edges = self._edges(ctx)
        columns = self.columns
        if columns is None and edges is not None:
            # a column that the other profile does not watch would compare with nothing
            columns = tuple(edges.columns)
        profile = build_profile(
            table,
            columns=columns,
            edges_from=edges,
            bins=self.bins,
            kinds=self.kinds,
            given=self.given,
            by=self.by,
            model=ctx.inputs.get("model"),
            partition=self.partition,
        )
        if profile.rows == 0:
            raise InvalidData(
                f"{self.data.uri} has no rows: a profile of it would be compared with nothing",
                hint="check that the data has landed",
            )
        content = profile.to_bytes()
        ctx.ensure_current()
        ctx.store.write(self.output_key, content)
        value: dict[str, Any] = {
            "profile": self.output_key,
            "digest": _digest(content),
            "rows": profile.rows,
            "columns": len(profile.columns),
        }
        if self.monitor:
            from backbeat.drift.history import Monitor

            digest = profile.edges_digest if edges is None else edges.edges_digest
            value["batch"] = Monitor(ctx.store, self.monitor).write_batch(
                self.partition, profile, edges=digest
            )
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
            outputs=(DataRef(uri=self.output_key, digest=value["digest"], format="json"),),
        )

    def _edges_key(self, ctx: StepContext) -> str | None:
        if self.edges_from is None:
            return f"{self.monitor.rstrip('/')}/reference.json" if self.monitor else None
        key = profile_key(ctx, self.edges_from)
        if key is None:
            raise NotFound(
                f"{self.edges_from} does not exist yet: it has no profile to take the edges of",
                hint="leave edges_from out for the first profile",
            )
        return key

    def _edges(self, ctx: StepContext) -> Profile | None:
        from backbeat.drift import Profile

        key = ctx.inputs.get(_EDGES)
        return None if key is None else Profile.from_bytes(ctx.store.read(key))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
