"""BatchInferenceOperator: every row scored exactly once, however often the worker dies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backbeat.inference.serving import Serving
from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, Templated

__all__ = ["BatchInferenceOperator"]


class BatchInferenceOperator(StepOperator):
    """Score a table in shards; a retry scores only the shards that are missing.

    Args:
        model: `models:/<name>@<alias>` or `models:/<name>/<version>`; or the address of a served
            model, such as `kserve-v1+http://host:8080/v1/models/churn`.
        data: What to score: a URI, or the fields of a `Dataset`.
        output_key: Store prefix of the scores.
        key: Columns that identify a row; copied to the output.
        features: Columns that the model gets; all but the key where None.
        column: Name of the score's column.
        shard_rows: Rows of a shard: what one crash can cost.
        output_contract: Store key or path of the data contract that the scores must keep.
        serving: How a served model is asked (`backbeat.inference.Serving`).

    Output: `output`, `rows`, `shards`, `reused`, `digest`, `model`, `version`; with a served model
    also `bad`, `calls`, `cost`, `repeated`.
    """

    step_kind = "inference.batch/v1"
    template_fields: Sequence[str] = (
        "model",
        "data",
        "output_key",
        "key",
        "features",
        "column",
        "shard_rows",
        "output_contract",
        "serving",
        "backbeat_conn_id",
    )
    template_fields_renderers = {"data": "json", "features": "json", "serving": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        model: Templated[str],
        data: Templated[DatasetFields],
        output_key: Templated[str],
        key: Templated[Sequence[str]],
        features: Templated[Sequence[str] | None] = None,
        column: Templated[str] = "score",
        shard_rows: Templated[int] = 10_000,
        output_contract: Templated[str | None] = None,
        serving: Templated[Serving | None] = None,
        **kwargs: Any,
    ) -> None:
        self.model = model
        self.data = data
        self.output_key = output_key
        self.key = key
        self.features = features
        self.column = column
        self.shard_rows = shard_rows
        self.output_contract = output_contract
        self.serving = serving
        super().__init__(**kwargs)
