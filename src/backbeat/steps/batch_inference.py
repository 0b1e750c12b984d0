"""inference.batch/v1: every row scored exactly once, however often the worker dies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from backbeat.inference.serving import Serving, known_address
from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Replay, Step, StepContext
from backbeat.steps.model_reference import registered_model
from backbeat.steps.pinned import open_pinned, pin, pin_contract, require_kept

__all__ = ["BatchInference"]

# what changes the answers, and not only how they are got
_DECIDES = {"parameters", "confidence", "at_least", "doubtful", "fallback"}


class BatchInference(Step):
    """Score a table in shards; a retry scores only the shards that are missing.

    Args:
        model: `models:/<name>@<alias>` or `models:/<name>/<version>`, loaded in this process; or
            the address of a served model, such as `kserve-v1+http://host:8080/v1/models/churn`.
        data: What to score.
        output_key: Store prefix of the scores; its `manifest.json` names the files that count.
        key: Columns that identify a row; copied to the output.
        features: Columns that the model gets; all but the key where None.
        column: Name of the score's column.
        shard_rows: Rows of a shard: what one crash can cost.
        output_contract: Store key or path of the data contract (JSON) that the scores must keep,
            checked before the manifest is published. None checks nothing.
        serving: How a served model is asked; its defaults where None.

    Value: `output`, `rows`, `shards`, `reused` (shards of an earlier attempt), `digest` (of the
    manifest), `model`, `version`.

    With a served model also `bad` (rows that it refused, which are in side files), `calls`, `cost`
    and `repeated` (calls that may have been made twice, because an earlier attempt died).
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
    serving: Serving | None = None

    @field_validator("model")
    @classmethod
    def _known_address(cls, model: str) -> str:
        return known_address(model) if _is_address(model) else model

    @model_validator(mode="after")
    def _is_asked(self) -> BatchInference:
        if self.serving is not None and not self._served and "{{" not in self.model:
            raise ValueError("`serving` says how a served model is asked, and this one is not")
        return self

    @property
    def _served(self) -> bool:
        return _is_address(self.model)

    @property
    def _serving(self) -> Serving:
        return self.serving or Serving()

    def required(self) -> frozenset[Need]:
        """A registry only for a model that is in one."""
        return frozenset({Need.STORE}) if self._served else self.needs

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin the table, the model to a version, and the scores' contract where one is named."""
        inputs = {"data": pin(ctx, self.data), "model": self._model_now(ctx)}
        if self.output_contract is not None:
            inputs["output_contract"] = pin_contract(ctx, self.output_contract)
        return inputs

    def perform(self, ctx: StepContext) -> Outcome:
        """Score what is not scored yet, then publish the manifest."""
        if self._served:
            return self._perform_served(ctx)
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

    def _model_now(self, ctx: StepContext) -> str:
        if not self._served:
            return ctx.registry.resolve(self.model).uri
        from backbeat.steps.served_scoring import version_now

        return version_now(ctx, self.model, self._serving)

    def _perform_served(self, ctx: StepContext) -> Outcome:
        from backbeat.inference.scoring import Scoring
        from backbeat.steps.served_scoring import score_with_server

        table, refs = open_pinned(ctx, "data", self.data)
        partitions = {ref.partition for ref in refs}
        keys, serving = list(self.key), self._serving
        features = [name for name in table.schema.names if name not in keys]
        features = features if self.features is None else list(self.features)
        partition = partitions.pop() if len(partitions) == 1 else None
        asked = serving.model_dump(mode="json", include=_DECIDES)
        scoring = Scoring(
            data=table,
            input_digest=ctx.inputs["data"],
            model_version=ctx.inputs["model"],
            store=ctx.store,
            output=self.output_key,
            keys=keys,
            features=features,
            partition=partition,
            shard_rows=self.shard_rows,
            parameters={
                "features": features,
                "key": keys,
                "column": self.column,
                "partition": partition,
                "serving": asked,
            },
        )
        version = ctx.inputs["model"].removeprefix(self.model).removeprefix("@")
        scored, said, metrics = score_with_server(
            ctx,
            scoring,
            self.model,
            serving,
            version=version,
            column=self.column,
            accept=lambda files: self._accept(ctx, files),
        )
        return Done(
            value={
                "output": self.output_key,
                "rows": scored.rows,
                "shards": scored.shards,
                "reused": scored.reused,
                "digest": scored.digest,
                "model": self.model,
                "version": version,
                **said,
            },
            metrics={"rows": scored.rows, "reused_shards": scored.reused, **metrics},
            inputs=(*refs, DataRef(uri=self.model, digest=version, format="model")),
            outputs=(
                DataRef(uri=self.output_key, digest=scored.digest, rows=scored.rows - scored.bad),
            ),
        )

    def _accept(self, ctx: StepContext, files: Sequence[str]) -> None:
        if self.output_contract is not None:
            what = f"scores ({self.output_key})"
            require_kept(ctx, "output_contract", self.output_contract, files, what=what)


def _is_address(model: str) -> bool:
    # a template is not known yet
    return "://" in model and "{{" not in model
