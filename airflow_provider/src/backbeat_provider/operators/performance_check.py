"""PerformanceCheckOperator: is the model as good as it was, by its labels or before they come?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, Templated

__all__ = ["PerformanceCheckOperator"]

Metric = Literal["roc_auc", "log_loss", "brier", "accuracy", "f1", "mae", "rmse", "bias"]


class PerformanceCheckOperator(StepOperator):
    """Measure a batch of predictions by the labels that have arrived, or estimate it without any.

    Worse is an answer, not a failure. An estimate cannot see concept drift, a change in how
    features and label relate: only labels show that.

    Args:
        predictions: What was predicted: the scores of a BatchInferenceOperator, or any table.
        model: The model's name, under which batches are kept.
        partition: The batch's name, such as `{{ ds }}`; batches are ordered by it as text.
        labels: The labels that have arrived; None estimates without them.
        key: Columns that join the two.
        label_column: The labels' column; 0 and 1 for a classification.
        prediction_column: The predictions' column: probabilities of class 1, or predicted values.
        task: `classification` or `regression`.
        metrics: Those that the verdict is about; `roc_auc` and `log_loss`, or `mae` and `rmse`,
            where None.
        threshold: A probability from here on is class 1, for `accuracy` and `f1`.
        day: Column whose equal rows are one observation.
        by: Columns whose values are judged as slices.
        explainer: Column that the size of a regression's errors depends on.
        reference: Store key of a batch's record, `models:/<name>@<alias>` for the metrics logged
            with that version, or None for the batches of the past.
        window: How many past batches make the reference.
        min_coverage: Share of predictions that must have a label.
        floor: A worsening up to here is none: absolute for `roc_auc`, `accuracy` and `f1`, else a
            share of the reference's value.
        confidence: Of the intervals, between 0 and 1.
        records: Store prefix under which batches are kept.

    Output: `verdict` (stable, drifted, insufficient_data, no_reference), `estimated`, `reason`,
    `worse`, `slices`, `predictions`, `rows`, `coverage`, `model`, `partition`, `reference`,
    `record`.
    """

    step_kind = "drift.performance/v1"
    template_fields: Sequence[str] = (
        "predictions",
        "model",
        "partition",
        "labels",
        "key",
        "label_column",
        "prediction_column",
        "task",
        "metrics",
        "threshold",
        "day",
        "by",
        "explainer",
        "reference",
        "window",
        "min_coverage",
        "floor",
        "confidence",
        "records",
        "backbeat_conn_id",
    )
    template_fields_renderers = {"predictions": "json", "labels": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        predictions: Templated[DatasetFields],
        model: Templated[str],
        partition: Templated[str],
        labels: Templated[DatasetFields | None] = None,
        key: Templated[Sequence[str]] = (),
        label_column: Templated[str | None] = None,
        prediction_column: Templated[str] = "score",
        task: Templated[Literal["classification", "regression"]] = "classification",
        metrics: Templated[Sequence[Metric] | None] = None,
        threshold: Templated[float] = 0.5,
        day: Templated[str | None] = None,
        by: Templated[Sequence[str]] = (),
        explainer: Templated[str | None] = None,
        reference: Templated[str | None] = None,
        window: Templated[int] = 28,
        min_coverage: Templated[float] = 0.8,
        floor: Templated[float] = 0.05,
        confidence: Templated[float] = 0.95,
        records: Templated[str] = "performance",
        **kwargs: Any,
    ) -> None:
        self.predictions = predictions
        self.model = model
        self.partition = partition
        self.labels = labels
        self.key = key
        self.label_column = label_column
        self.prediction_column = prediction_column
        self.task = task
        self.metrics = metrics
        self.threshold = threshold
        self.day = day
        self.by = by
        self.explainer = explainer
        self.reference = reference
        self.window = window
        self.min_coverage = min_coverage
        self.floor = floor
        self.confidence = confidence
        self.records = records
        super().__init__(**kwargs)
