"""CompareModelsOperator: champion and challenger on the same rows, whose labels are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, Templated

__all__ = ["CompareModelsOperator"]


class CompareModelsOperator(StepOperator):
    """Score both models on the same labelled rows and bootstrap the difference.

    Args:
        challenger: `models:/<name>/<version>` of the candidate.
        champion: What it must beat; an alias that does not exist yet gives `no_champion`.
        data: Features of days that neither model was trained on.
        labels: Labels of those days, as far as they have arrived.
        key: Column that joins the two; unique in both.
        label_column: The labels' column.
        groups: Column of the data whose equal rows are resampled together, such as the day.
        metric: log_loss, brier, roc_auc, mae or rmse.
        margin: By how much the challenger must be better, in the metric's unit.
        confidence: Of the interval, between 0 and 1.
        samples: Bootstrap samples.
        seed: Of the bootstrap.

    Output: `verdict` (better, not_better, no_champion), `metric`, `champion`, `challenger`,
    `difference`, `low`, `high`, `rows`, `champion_version`, `challenger_version`, `model`,
    `version`, `evidence`.
    """

    step_kind = "model.compare/v1"
    template_fields: Sequence[str] = (
        "challenger",
        "champion",
        "data",
        "labels",
        "key",
        "label_column",
        "groups",
        "metric",
        "margin",
        "confidence",
        "samples",
        "seed",
        "backbeat_conn_id",
    )
    template_fields_renderers = {"data": "json", "labels": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        challenger: Templated[str],
        champion: Templated[str],
        data: Templated[DatasetFields],
        labels: Templated[DatasetFields],
        key: Templated[str],
        label_column: Templated[str],
        groups: Templated[str | None] = None,
        metric: Templated[Literal["log_loss", "brier", "roc_auc", "mae", "rmse"]] = "log_loss",
        margin: Templated[float] = 0.0,
        confidence: Templated[float] = 0.95,
        samples: Templated[int] = 2000,
        seed: Templated[int] = 0,
        **kwargs: Any,
    ) -> None:
        self.challenger = challenger
        self.champion = champion
        self.data = data
        self.labels = labels
        self.key = key
        self.label_column = label_column
        self.groups = groups
        self.metric = metric
        self.margin = margin
        self.confidence = confidence
        self.samples = samples
        self.seed = seed
        super().__init__(**kwargs)
