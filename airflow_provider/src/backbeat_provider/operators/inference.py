"""InferenceOperator: a few rows asked of a served model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backbeat.inference.serving import Serving
from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import Templated

__all__ = ["InferenceOperator"]


class InferenceOperator(StepOperator):
    """Ask a served model about a few rows; a retry after a crash gets the recorded answer.

    For a table there is `BatchInferenceOperator`.

    Args:
        model: Address of a served model, such as `kserve-v1+http://host:8080/v1/models/churn`.
        rows: 1 to 1000 rows, each an object of one value a column.
        column: Name of the output where the model gives just one.
        serving: How the model is asked (`backbeat.inference.Serving`).

    Output: `predictions`, `model`, `version`, `request_id`, `seconds`, `attempts`, `cost`,
    `input_digest`.
    """

    step_kind = "inference.call/v1"
    template_fields: Sequence[str] = ("model", "rows", "column", "serving", "backbeat_conn_id")
    template_fields_renderers = {"rows": "json", "serving": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        model: Templated[str],
        rows: Templated[Sequence[Mapping[str, Any]]],
        column: Templated[str] = "score",
        serving: Templated[Serving | None] = None,
        **kwargs: Any,
    ) -> None:
        self.model = model
        self.rows = rows
        self.column = column
        self.serving = serving
        super().__init__(**kwargs)
