"""`performance_check`: is the model as good as it was, by its labels or before they come?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import dagster as dg

from backbeat.step import Done, Outcome
from backbeat.steps import PerformanceCheck
from dagster_backbeat.fields import Data, Key, Text, When
from dagster_backbeat.step_asset import step_asset

__all__ = ["performance_check"]

Metric = Literal["roc_auc", "log_loss", "brier", "accuracy", "f1", "mae", "rmse", "bias"]


def performance_check(
    *,
    asset: Key,
    predictions: Data,
    model: Text,
    partition: Text,
    labels: Data | None = None,
    key: Sequence[str] = (),
    label_column: str | None = None,
    prediction_column: str = "score",
    task: Literal["classification", "regression"] = "classification",
    metrics: Sequence[Metric] | None = None,
    threshold: float = 0.5,
    day: str | None = None,
    by: Sequence[str] = (),
    explainer: str | None = None,
    reference: Text | None = None,
    window: int = 28,
    min_coverage: float = 0.8,
    floor: float = 0.05,
    confidence: float = 0.95,
    records: Text = "performance",
    deps: Sequence[Key] = (),
    when: When | None = None,
    description: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    group_name: str | None = None,
    resource_key: str = "backbeat",
) -> dg.AssetsDefinition:
    """An asset that holds a batch's performance as a table, and its check `performance`.

    The check warns where the model is worse, and where too little is known to say that it is not.
    Without `labels` it is an estimate, which cannot see concept drift.

    Args:
        asset: Key of the asset made.
        predictions: See `PerformanceCheck`, as the fields below.
        model: The model's name, under which batches are kept.
        partition: The batch's name, such as `{{ partition_key }}`.
        labels: The labels that have arrived; None estimates without them.
        key: Columns that join the two.
        label_column: The labels' column; 0 and 1 for a classification.
        prediction_column: The predictions' column: probabilities of class 1, or predicted values.
        task: `classification` or `regression`.
        metrics: Those that the verdict is about.
        threshold: A probability from here on is class 1.
        day: Column whose equal rows are one observation.
        by: Columns whose values are judged as slices.
        explainer: Column that the size of a regression's errors depends on.
        reference: A batch's record, `models:/<name>@<alias>`, or None for the batches of the past.
        window: How many past batches make the reference.
        min_coverage: Share of predictions that must have a label.
        floor: A worsening up to here is none.
        confidence: Of the intervals.
        records: Store prefix under which batches are kept.
        deps: Assets that come before, such as the one that lands the labels.
        when: Condition under which there is something to do.
        description: For people.
        partitions_def: The asset's partitions.
        group_name: The asset's group.
        resource_key: The `BackbeatResource` to run on.
    """
    return step_asset(
        PerformanceCheck,
        locals(),
        kind="performance",
        description="Is the model as good as it was?",
        check=("performance", "Warns where the model is worse than its reference.", _verdict),
    )


def _verdict(outcome: Outcome) -> dg.AssetCheckResult:
    value = outcome.value if isinstance(outcome, Done) else {}
    verdict = str(value.get("verdict"))
    said = f"{verdict}: {value['reason']}" if value.get("reason") else verdict
    return dg.AssetCheckResult(
        check_name="performance",
        passed=verdict in {"stable", "no_reference"},
        severity=dg.AssetCheckSeverity.WARN,
        description=f"estimated, {said}" if value.get("estimated") else said,
    )
