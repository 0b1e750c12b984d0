"""BuildProfileOperator: what the data looked like, small enough to keep for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, Templated

__all__ = ["BuildProfileOperator"]


class BuildProfileOperator(StepOperator):
    """Profile a table and, where a model version is named, bind the profile to it.

    Args:
        data: The table: a URI, or the fields of a `Dataset`.
        output_key: Store key of the profile.
        columns: Which columns; all where None.
        bins: Frozen quantile bins of a numeric column.
        model: `models:/<name>/<version>` that was made from this data.

    Output: `profile`, `digest`, `rows`, `columns`, `model`.
    """

    step_kind = "drift.profile/v1"
    template_fields: Sequence[str] = (
        "data",
        "output_key",
        "columns",
        "bins",
        "model",
        "backbeat_conn_id",
    )
    template_fields_renderers = {"data": "json", "columns": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        data: Templated[DatasetFields],
        output_key: Templated[str],
        columns: Templated[Sequence[str] | None] = None,
        bins: Templated[int] = 1000,
        model: Templated[str | None] = None,
        **kwargs: Any,
    ) -> None:
        self.data = data
        self.output_key = output_key
        self.columns = columns
        self.bins = bins
        self.model = model
        super().__init__(**kwargs)
