"""inference.batch/v1: every row scored exactly once, however often the worker dies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Replay, Step, StepContext
from backbeat.steps.model_reference import registered_model
from backbeat.steps.pinned import open_pinned, pin, pin_contract, require_kept

__all__ = ["BatchInference"]


class BatchInference(Step):
    """Score a table in shards; a retry scores only the shards that are missing.

    Args:
        model: `models:/<name>@<alias>` or `models:/<name>/<version>`, loaded in this process.
        data: What to score.
        output_key: Store prefix of the scores; its `manifest.json` names the files that count.
        key: Columns that identify a row; copied to the output.
        features: Columns that the model gets; all but the key where None.
        column: Name of the score's column.
        shard_rows: Rows of a shard: what one crash can cost.
        output_contract: Store key or path of the data contract (JSON) that the scores must keep,
            checked before the manifest is published. None checks nothing.

    Value: `output`, `rows`, `shards`, `reused` (shards of an earlier attempt), `digest` (of the
    manifest), `model`, `version`.
    """

    kind: ClassVar[str] = "inference.batch/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE, Need.REGISTRY})
    replay: ClassVar[Replay] = Replay.CONTENT

    model: str = Field(min_length=1)
    data: Dataset
    output_key: str = Field(min_length=1)
    key: tuple[str, ...] = Field(min_length=1)
    features: tuple[str, ...] | None = None
    column: str = "score"
    shard_rows: int = Field(default=10_000, ge=1)
    output_contract: str | None = Field(default=None, min_length=1)

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin the table, the model to a version, and the scores' contract where one is named."""
        inputs = {"data": pin(ctx, self.data), "model": ctx.registry.resolve(self.model).uri}
        if self.output_contract is not None:
            inputs["output_contract"] = pin_contract(ctx, self.output_contract)
        return inputs

    def perform(self, ctx: StepContext) -> Outcome:
        """Score what is not scored yet, then publish the manifest."""
        from backbeat.inference import score

        version = ctx.registry.resolve(ctx.inputs["model"])
        table, refs = open_pinned(ctx, "data", self.data)
        partitions = {ref.partition for ref in refs}
        scored = score(
            table,
            input_digest=ctx.inputs["data"],
            model=ctx.registry.load(version.uri),
            model_version=version.uri,
            store=ctx.store,
            output=self.output_key,
            key_columns=self.key,
            features=self.features,
            column=self.column,
            shard_rows=self.shard_rows,
            partition=partitions.pop() if len(partitions) == 1 else None,
            progress=lambda done, total: ctx.progress(done, total, "shards"),
            ensure_current=ctx.ensure_current,
            accept=lambda files: self._accept(ctx, files),
        )
        return Done(
            value={
                "output": self.output_key,
                "rows": scored.rows,
                "shards": scored.shards,
                "reused": scored.reused,
                "digest": scored.digest,
                "model": version.name,
                "version": version.version,
            },
            metrics={"rows": scored.rows, "reused_shards": scored.reused},
            inputs=(*refs, registered_model(version)),
            outputs=(DataRef(uri=self.output_key, digest=scored.digest, rows=scored.rows),),
        )

    def _accept(self, ctx: StepContext, files: Sequence[str]) -> None:
        if self.output_contract is not None:
            what = f"scores ({self.output_key})"
            require_kept(ctx, "output_contract", self.output_contract, files, what=what)
