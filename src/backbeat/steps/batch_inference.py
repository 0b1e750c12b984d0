"""inference.batch/v1: every row scored exactly once, however often the worker dies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from backbeat.errors import InvalidStep
from backbeat.inference.jobs.servers import is_job_address, parse_job_address
from backbeat.inference.serving import Serving, known_address
from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Replay, Step, StepContext, Waiting
from backbeat.steps.model_reference import registered_model
from backbeat.steps.pinned import open_pinned, pin, pin_contract, require_kept

__all__ = ["BatchInference"]

# what changes the answers, and not only how they are got
_DECIDES = {"parameters", "confidence", "at_least", "doubtful", "fallback"}


class BatchInference(Step):
    """Score a table in shards; a retry scores only the shards that are missing.

    Args:
        model: `models:/<name>@<alias>` or `models:/<name>/<version>`, loaded in this process; or
            the address of a served model, such as `kserve-v1+http://host:8080/v1/models/churn`; or
            of one that takes jobs, such as `openai-batch+https://host/v1/batches?model=small`.
        data: What to score.
        output_key: Store prefix of the scores; its `manifest.json` names the files that count.
        key: Columns that identify a row; copied to the output.
        features: Columns that the model gets; all but the key where None.
        column: Name of the score's column.
        shard_rows: Rows of a shard: what one crash can cost.
        output_contract: Store key or path of the data contract (JSON) that the scores must keep,
            checked before the manifest is published. None checks nothing.
        serving: How a served model is asked; its defaults where None.
        delta: Store key, path or URI of a Delta table that gets the scores once their manifest is
            published, in place of those that it had of this output; None for no table.

    Value: `output`, `rows`, `shards`, `reused` (shards of an earlier attempt), `digest` (of the
    manifest), `model`, `version`.

    With a Delta table also `delta` (where it is) and `delta_version` (one that has these scores).

    With a served model also `bad` (rows that it refused, which are in side files), `calls`, `cost`
    and `repeated` (calls that may have been made twice, because an earlier attempt died). With jobs
    `jobs` (their ids) stands in the place of `repeated`: each shard is a job, and is found again.
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
    delta: str | None = Field(default=None, min_length=1)

    @field_validator("model")
    @classmethod
    def _known_address(cls, model: str) -> str:
        if _is_address(model) and is_job_address(model):
            return _known_job_address(model)
        return known_address(model) if _is_address(model) else model

    @field_validator("delta")
    @classmethod
    def _no_secrets(cls, delta: str | None) -> str | None:
        from backbeat.inference.delta import without_secrets

        return None if delta is None else without_secrets(delta)

    @model_validator(mode="after")
    def _is_asked(self) -> BatchInference:
        if self.serving is not None and not self._served and "{{" not in self.model:
            raise ValueError("`serving` says how a served model is asked, and this one is not")
        if self._by_jobs and (self._serving.fallback or self._serving.doubtful):
            raise ValueError("a job has no `fallback` and no `doubtful` model")
        return self

    @property
    def _served(self) -> bool:
        return _is_address(self.model)

    @property
    def _by_jobs(self) -> bool:
        return self._served and is_job_address(self.model)

    @property
    def _serving(self) -> Serving:
        return self.serving or Serving()

    def required(self) -> frozenset[Need]:
        """A registry only for a model that is in one."""
        return frozenset({Need.STORE}) if self._served else self.needs

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin the table, the model to a version, and the scores' contract where one is named."""
        if self._served:
            from backbeat.steps.permitted import require_permitted

            asked = (self.model, self._serving.fallback, self._serving.doubtful)
            require_permitted(ctx, asked)
        inputs = {"data": pin(ctx, self.data), "model": self._model_now(ctx)}
        if self.output_contract is not None:
            inputs["output_contract"] = pin_contract(ctx, self.output_contract)
        return inputs

    def perform(self, ctx: StepContext) -> Outcome:
        """Score what is not scored yet, then publish the manifest."""
        if self.delta is not None:
            from backbeat.inference.delta import require_deltalake

            require_deltalake()
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
        said, tables = self._in_delta(ctx)
        return Done(
            value={
                "output": self.output_key,
                "rows": scored.rows,
                "shards": scored.shards,
                "reused": scored.reused,
                "digest": scored.digest,
                "model": version.name,
                "version": version.version,
                **said,
            },
            metrics={"rows": scored.rows, "reused_shards": scored.reused},
            inputs=(*refs, registered_model(version)),
            outputs=(
                DataRef(uri=self.output_key, digest=scored.digest, rows=scored.rows),
                *tables,
            ),
        )

    def _model_now(self, ctx: StepContext) -> str:
        if not self._served:
            return ctx.registry.resolve(self.model).uri
        if self._by_jobs:
            return self.model
        from backbeat.steps.served_scoring import version_now

        return version_now(ctx, self.model, self._serving)

    def _perform_served(self, ctx: StepContext) -> Outcome:
        from backbeat.inference.scoring import Scoring
        from backbeat.steps.job_scoring import score_by_jobs
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
        if self._by_jobs:
            found = score_by_jobs(
                ctx,
                scoring,
                self.model,
                serving,
                column=self.column,
                accept=lambda files: self._accept(ctx, files),
            )
        else:
            found = score_with_server(
                ctx,
                scoring,
                self.model,
                serving,
                version=version,
                column=self.column,
                accept=lambda files: self._accept(ctx, files),
            )
        if isinstance(found, Waiting):
            return found
        scored, said, metrics = found
        committed, tables = self._in_delta(ctx)
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
                **committed,
            },
            metrics={"rows": scored.rows, "reused_shards": scored.reused, **metrics},
            inputs=(*refs, DataRef(uri=self.model, digest=version, format="model")),
            outputs=(
                DataRef(uri=self.output_key, digest=scored.digest, rows=scored.rows - scored.bad),
                *tables,
            ),
        )

    def _in_delta(self, ctx: StepContext) -> tuple[dict[str, str | int], tuple[DataRef, ...]]:
        """What the value, and the outputs, say of the Delta table that the scores are in now."""
        if self.delta is None:
            return {}, ()
        from backbeat.inference.delta import publish_delta

        done = publish_delta(
            ctx.store, self.output_key, self.delta, ensure_current=ctx.ensure_current
        )
        table = DataRef(uri=done.table, digest=f"delta:{done.version}", rows=done.rows)
        return {"delta": done.table, "delta_version": done.version}, (table,)

    def _accept(self, ctx: StepContext, files: Sequence[str]) -> None:
        if self.output_contract is not None:
            what = f"scores ({self.output_key})"
            require_kept(ctx, "output_contract", self.output_contract, files, what=what)


def _is_address(model: str) -> bool:
    # a template is not known yet
    return "://" in model and "{{" not in model


def _known_job_address(address: str) -> str:
    try:
        parse_job_address(address)
    except InvalidStep as error:
        raise ValueError(f"{error.message} {error.hint}") from error
    return address
