"""QualityCheckOperator: does the new data keep its promises?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, JsonFields, Templated

__all__ = ["QualityCheckOperator"]


class QualityCheckOperator(StepOperator):
    """Check a table against a Great Expectations suite; the task fails where the data does.

    Only an expectation whose severity is `critical`, as it is where a suite says nothing, fails it.

    Args:
        data: The table: a URI, or the fields of a `Dataset`.
        suite: The suite as data: a list of expectations, or a suite's JSON.
        context_root: An existing Great Expectations project folder instead.
        suite_name: The suite's name in that project.
        on_failure: `block` the workflow on critical failures, or only `report` them.
        report: Store prefix for the HTML report; empty writes none.
        monitor: Store prefix of a monitor: the result is kept beside the batch's profile.
        partition: The batch's name, such as `{{ ds }}`; a monitor needs it.

    Output: `success`, `rows`, `checked`, `failed`, `report`; with a monitor also `batch`.
    """

    step_kind = "quality.check/v1"
    template_fields: Sequence[str] = (
        "data",
        "suite",
        "context_root",
        "suite_name",
        "on_failure",
        "report",
        "monitor",
        "partition",
        "backbeat_conn_id",
    )
    template_fields_renderers = {"data": "json", "suite": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        data: Templated[DatasetFields],
        suite: Templated[JsonFields | None] = None,
        context_root: Templated[str | None] = None,
        suite_name: Templated[str | None] = None,
        on_failure: Templated[Literal["block", "report"]] = "block",
        report: Templated[str] = "reports/quality",
        monitor: Templated[str] = "",
        partition: Templated[str] = "",
        **kwargs: Any,
    ) -> None:
        self.data = data
        self.suite = suite
        self.context_root = context_root
        self.suite_name = suite_name
        self.on_failure = on_failure
        self.report = report
        self.monitor = monitor
        self.partition = partition
        super().__init__(**kwargs)
