"""drift.performance/v1: is the model as good as it was, by its labels or before they come?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from backbeat.canonical import digest
from backbeat.data import reading, require_columns
from backbeat.errors import Conflict, InvalidData
from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Step, StepContext
from backbeat.steps.pinned import open_pinned, pin

if TYPE_CHECKING:
    import pyarrow as pa

    from backbeat.drift.performance import Performance, PerformanceRecord, Reference, Settings

__all__ = ["PerformanceCheck"]

Metric = Literal["roc_auc", "log_loss", "brier", "accuracy", "f1", "mae", "rmse", "bias"]


class PerformanceCheck(Step):
    """Measure a batch of predictions by the labels that have arrived, or estimate it without any.

    With `labels`, predictions and labels are joined, measured, and held against the reference; the
    counts are kept as `<records>/<model>/<partition>.json`, from which later batches are judged and
    estimated. Without, calibrated probabilities (or how wrong such predictions were before) say
    what the labels will probably show. An estimate cannot see concept drift, a change in how
    features and label relate: only labels show that.

    Args:
        predictions: What was predicted: the scores of a BatchInference, or any table.
        model: The model's name, under which batches are kept.
        partition: The batch's name, such as its ISO day; batches are ordered by it as text.
        labels: The labels that have arrived; None estimates without them.
        key: Columns that join the two.
        label_column: The labels' column; 0 and 1 for a classification.
        prediction_column: The predictions' column: probabilities of class 1, or predicted values.
        task: `classification` or `regression`.
        metrics: Those that the verdict is about; `roc_auc` and `log_loss`, or `mae` and `rmse`,
            where None.
        threshold: A probability from here on is class 1, for `accuracy` and `f1`.
        day: Column whose equal rows are one observation, because they share their weather.
        by: Columns whose values are judged as slices, each column by itself.
        explainer: Column that the size of a regression's errors depends on.
        reference: Store key of the record of a batch, `models:/<name>@<alias>` for the metrics that
            were logged with that version, or None for the batches of the past.
        window: How many past batches make the reference.
        min_coverage: Share of predictions that must have a label, else `insufficient_data`.
        floor: A worsening up to here is none: absolute for `roc_auc`, `accuracy` and `f1`; a share
            of the reference's value for losses and errors, and of its `mae` for `bias`.
        confidence: Of the intervals, between 0 and 1.
        records: Store prefix under which batches are kept.

    Value: `verdict` (stable, drifted, insufficient_data, no_reference), `estimated`, `reason`,
    `worse` (metrics that drifted), `slices` (those that drifted), `predictions`, `rows`,
    `coverage` (None for an estimate), `model`, `partition`, `reference`, `record` (store key).
    """

    kind: ClassVar[str] = "drift.performance/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE, Need.REGISTRY})

    predictions: Dataset
    model: str = Field(min_length=1)
    partition: str = Field(min_length=1)
    labels: Dataset | None = None
    key: tuple[str, ...] = ()
    label_column: str | None = None
    prediction_column: str = "score"
    task: Literal["classification", "regression"] = "classification"
    metrics: tuple[Metric, ...] | None = None
    threshold: float = Field(default=0.5, ge=0, le=1)
    day: str | None = None
    by: tuple[str, ...] = ()
    explainer: str | None = None
    reference: str | None = Field(default=None, min_length=1)
    window: int = Field(default=28, ge=1, le=3660)
    min_coverage: float = Field(default=0.8, gt=0, le=1)
    floor: float = Field(default=0.05, gt=0, lt=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    records: str = Field(default="performance", min_length=1)

    @model_validator(mode="after")
    def _labels_can_be_joined(self) -> PerformanceCheck:
        if self.labels is not None and not (self.key and self.label_column):
            raise ValueError("labels are joined by `key`, and need their `label_column`")
        return self

    def required(self) -> frozenset[Need]:
        """A registry only where a model version is named: rung 0 has none."""
        return self.needs if self._names_version() else frozenset({Need.STORE})

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin both tables, and what the reference says now."""
        inputs = {"predictions": pin(ctx, self.predictions)}
        if self.labels is not None:
            inputs["labels"] = pin(ctx, self.labels)
        if self._names_version():
            inputs["reference"] = ctx.registry.resolve(str(self.reference)).uri
        inputs["records"] = _digest(self._records(ctx))
        return inputs

    def perform(self, ctx: StepContext) -> Outcome:
        """Join, measure or estimate, judge, and keep the counts."""
        from backbeat.drift.performance import (
            Settings,
            estimate_performance,
            join_labels,
            measure_performance,
            only_predictions,
            performance_markdown,
            write_record,
        )

        settings = Settings(
            model=self.model,
            partition=self.partition,
            task=self.task,
            metrics=self.metrics,
            threshold=self.threshold,
            day=self.day,
            by=self.by,
            explainer=self.explainer,
            min_coverage=self.min_coverage,
            floor=self.floor,
            confidence=self.confidence,
        )
        reference = self._reference(ctx)
        predictions, refs = self._predicted(ctx, settings)
        if self.labels is None:
            joined = only_predictions(
                predictions,
                prediction=self.prediction_column,
                task=self.task,
                columns=settings.columns,
            )
            found = estimate_performance(joined, settings, reference)
        else:
            labels, label_refs = self._labelled(ctx, predictions, settings)
            refs = (*refs, *label_refs)
            joined = join_labels(
                predictions,
                labels,
                key=self.key,
                prediction=self.prediction_column,
                label=str(self.label_column),
                task=self.task,
                columns=settings.columns,
            )
            found = measure_performance(joined, settings, reference)
        ctx.ensure_current()
        key, content = write_record(ctx.store, self.records, found.record)
        written = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Done(
            value={
                "verdict": found.verdict,
                "estimated": found.estimated,
                "reason": found.reason,
                "worse": [item.metric for item in found.judged if item.verdict == "drifted"],
                "slices": [item.name for item in found.slices if item.verdict == "drifted"],
                "predictions": found.predictions,
                "rows": found.rows,
                "coverage": found.coverage,
                "model": self.model,
                "partition": self.partition,
                "reference": found.reference or None,
                "record": key,
            },
            metrics=_numbers(found),
            inputs=refs,
            outputs=(DataRef(uri=key, digest=written, format="json", partition=self.partition),),
            evidence={
                "performance": found.model_dump(mode="json"),
                "markdown": performance_markdown(found),
            },
        )

    def _names_version(self) -> bool:
        return self.reference is not None and self.reference.startswith("models:/")

    def _records(self, ctx: StepContext) -> list[PerformanceRecord]:
        from backbeat.drift.performance import past_records, read_record

        if self.reference is not None and not self._names_version():
            return [read_record(ctx.store, self.reference)]
        return past_records(
            ctx.store, self.records, self.model, before=self.partition, limit=self.window
        )

    def _reference(self, ctx: StepContext) -> Reference | None:
        from backbeat.drift.performance import reference_of, reference_of_numbers

        records = self._records(ctx)
        if _digest(records) != ctx.inputs["records"]:
            raise Conflict(
                "the records of past batches changed while the step ran: nothing was written",
                hint="run again, on the records that are there now",
            )
        counted = None
        if records:
            title = self.reference or _named(records)
            counted = reference_of(records, title=title, task=self.task, threshold=self.threshold)
        if not self._names_version():
            return counted
        version = ctx.registry.resolve(ctx.inputs["reference"])
        numbers = ctx.registry.run_metrics(version.run_id) if version.run_id else {}
        return reference_of_numbers(numbers, title=version.uri, task=self.task, counts=counted)

    def _predicted(
        self, ctx: StepContext, settings: Settings
    ) -> tuple[pa.Table, tuple[DataRef, ...]]:
        """The predictions' table; of a BatchInference what its manifest names, and no more."""
        from backbeat.inference.manifest import read_scores

        data, refs = open_pinned(ctx, "predictions", self.predictions)
        wanted = [*self.key, self.prediction_column]
        # the labels may have the other columns
        wanted += [] if self.labels else list(settings.columns)
        require_columns(data, wanted, what="predictions")
        scored = [
            uri
            for uri in self.predictions.uris()
            if _is_key(uri) and ctx.store.exists(f"{uri}/manifest.json")
        ]
        if scored:
            import pyarrow as pa

            tables = [read_scores(ctx.store, uri) for uri in scored]
            return pa.concat_tables(tables, promote_options="default"), refs
        with reading("predictions"):
            names = dict.fromkeys([*wanted, *settings.columns])
            return data.to_table(
                columns=[name for name in names if name in data.schema.names]
            ), refs

    def _labelled(
        self, ctx: StepContext, predictions: pa.Table, settings: Settings
    ) -> tuple[pa.Table, tuple[DataRef, ...]]:
        if self.labels is None:
            raise InvalidData("there are no labels", hint="name them, or estimate without")
        data, refs = open_pinned(ctx, "labels", self.labels)
        there = predictions.column_names
        wanted = [*self.key, str(self.label_column)]
        wanted += [name for name in settings.columns if name not in there]
        require_columns(data, wanted, what="labels")
        with reading("labels"):
            return data.to_table(columns=list(dict.fromkeys(wanted))), refs


def _numbers(found: Performance) -> dict[str, float]:
    numbers: dict[str, float] = {"rows": float(found.rows)}
    if found.coverage is not None:
        numbers["coverage"] = found.coverage
    for name, item in found.metrics.items():
        ends = {"": item.value, ".low": item.low, ".high": item.high}
        numbers |= {f"{name}{end}": value for end, value in ends.items() if value is not None}
    return numbers


def _digest(records: list[PerformanceRecord]) -> str:
    return digest([record.model_dump(mode="json") for record in records])


def _named(records: list[PerformanceRecord]) -> str:
    if len(records) == 1:
        return f"the batch {records[0].partition}"
    first, last = records[0].partition, records[-1].partition
    return f"{len(records)} batches from {first} to {last}"


def _is_key(uri: str) -> bool:
    return "://" not in uri and not uri.startswith("/")
