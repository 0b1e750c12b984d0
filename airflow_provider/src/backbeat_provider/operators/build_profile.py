"""BuildProfileOperator: what the data looked like, small enough to keep for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, Templated

__all__ = ["BuildProfileOperator"]

Kind = Literal["text", "embedding", "category", "number"]


class BuildProfileOperator(StepOperator):
    """Profile a table and, where a model version is named, bind the profile to it.

    Args:
        data: The table: a URI, or the fields of a `Dataset`.
        output_key: Store key of the profile.
        columns: Which columns; all where None.
        bins: Frozen quantile bins of a numeric column.
        model: `models:/<name>/<version>` that was made from this data.
        kinds: How a column is read where its type does not say, by its name.
        given: Columns that are also watched given those that explain them.
        by: Columns whose values make segments, in the same pass.
        edges_from: Count on the edges of this profile: a store key, or `models:/<name>@<alias>`.
        partition: The batch's name, such as `{{ ds }}`.
        monitor: Store prefix of a monitor whose history gets the batch.

    Output: `profile`, `digest`, `rows`, `columns`, `model`, with a monitor also `batch`.
    """

    step_kind = "drift.profile/v1"
    template_fields: Sequence[str] = (
        "data",
        "output_key",
        "columns",
        "bins",
        "model",
        "kinds",
        "given",
        "by",
        "edges_from",
        "partition",
        "monitor",
        "backbeat_conn_id",
    )
    template_fields_renderers = dict.fromkeys(("data", "columns", "kinds", "given", "by"), "json")

    def __init__(
        self,
        *,
        data: Templated[DatasetFields],
        output_key: Templated[str],
        columns: Templated[Sequence[str] | None] = None,
        bins: Templated[int] = 1000,
        model: Templated[str | None] = None,
        kinds: Templated[Mapping[str, Kind] | None] = None,
        given: Templated[Mapping[str, Sequence[str]] | None] = None,
        by: Templated[Sequence[str]] = (),
        edges_from: Templated[str | None] = None,
        partition: Templated[str] = "",
        monitor: Templated[str] = "",
        **kwargs: Any,
    ) -> None:
        self.data = data
        self.output_key = output_key
        self.columns = columns
        self.bins = bins
        self.model = model
        self.kinds = kinds
        self.given = given
        self.by = by
        self.edges_from = edges_from
        self.partition = partition
        self.monitor = monitor
        super().__init__(**kwargs)
