"""RegisterCandidateOperator: a model made anywhere becomes a version that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import Templated

__all__ = ["RegisterCandidateOperator"]


class RegisterCandidateOperator(StepOperator):
    """Register a run's model, or a model URI, as a new version; the same source only once.

    Args:
        model: Registered model's name.
        source: A run id, `runs:/<id>/<path>`, or `models:/m-<id>`.
        trained_through: Last day of its training data.
        tags: Added to the version.

    Output: `model`, `version`, `uri`, `run_id`, `link`.
    """

    step_kind = "model.candidate/v1"
    template_fields: Sequence[str] = (
        "model",
        "source",
        "trained_through",
        "tags",
        "backbeat_conn_id",
    )
    template_fields_renderers = {"tags": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        model: Templated[str],
        source: Templated[str],
        trained_through: Templated[date | None] = None,
        tags: Templated[Mapping[str, str] | None] = None,
        **kwargs: Any,
    ) -> None:
        self.model = model
        self.source = source
        self.trained_through = trained_through
        self.tags = tags
        super().__init__(**kwargs)
