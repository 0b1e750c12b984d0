"""quality.check/v1: does the new data keep its promises?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from backbeat.quality.suite import Suite
from backbeat.reference import Dataset
from backbeat.step import Blocked, Done, Outcome, Step, StepContext
from backbeat.steps.pinned import open_pinned, pin

__all__ = ["QualityCheck"]


class QualityCheck(Step):
    """Check a table against a Great Expectations suite, and stop the night where it fails.

    Only an expectation whose severity is `critical`, as it is where a suite says nothing, blocks.
    One that is a `warning` or an `info` is reported, and the night goes on.

    Args:
        data: The table; it is read into memory as one pandas batch.
        suite: The suite as data: `{"name": …, "expectations": [{"type": …, "kwargs": {…}}]}`.
        context_root: An existing GX project folder instead; it is only read.
        suite_name: The suite's name in that project.
        on_failure: `block` the workflow on critical failures, or only `report` them.
        report: Store prefix for the HTML report; empty writes none.
        monitor: Store prefix of a monitor: the result is kept beside the batch's profile. Empty
            keeps none.
        partition: The batch's name, such as its ISO day; a monitor needs it.

    Value: `success`, `rows`, `checked`, `failed` (expectation types with their column), `report`;
    with a monitor also `batch` (the result's store key).
    """

    kind: ClassVar[str] = "quality.check/v1"

    data: Dataset
    suite: Suite | None = None
    context_root: str | None = None
    suite_name: str | None = None
    on_failure: Literal["block", "report"] = "block"
    report: str = Field(default="reports/quality")
    monitor: str = ""
    partition: str = ""

    @model_validator(mode="after")
    def _one_suite(self) -> QualityCheck:
        named = self.context_root is not None and self.suite_name is not None
        if (self.suite is not None) == named:
            raise ValueError("give either `suite`, or both `context_root` and `suite_name`")
        if self.monitor and not self.partition:
            raise ValueError("`monitor` needs `partition`: the batch's name, such as its day")
        return self

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin the table."""
        return {"data": pin(ctx, self.data)}

    def perform(self, ctx: StepContext) -> Outcome:
        """Run the suite; Blocked where a critical one fails and `on_failure` is `block`."""
        from backbeat.quality import check_table, check_with_context, report_html
        from backbeat.quality.history import QualityHistory

        table, refs = open_pinned(ctx, "data", self.data)
        if self.suite is not None:
            result = check_table(table, self.suite)
        else:
            result = check_with_context(
                table,
                context_root=Path(str(self.context_root)),
                suite_name=str(self.suite_name),
            )
        value: dict[str, Any] = {
            "success": result.success,
            "rows": result.rows,
            "checked": len(result.results),
            "failed": [f"{item.type}({item.column or '*'})" for item in result.failures],
        }
        if self.monitor:
            ctx.ensure_current()
            value["batch"] = QualityHistory(ctx.store, self.monitor).keep(self.partition, result)
        if self.report:
            shown = {"step": self.digest(), "inputs": dict(ctx.inputs)}
            key = f"{self.report}/{ctx.effect_id('report', content=shown)[7:23]}.html"
            page = report_html(result, title=f"Quality of {self.data.title}")
            ctx.store.write(key, page.encode())
            value["report"] = key
        evidence = {
            "suite": result.suite,
            "summary": result.summary,
            "assertions": result.assertions(),
            "results": [item.model_dump(mode="json") for item in result.results],
            "failures": [item.model_dump(mode="json") for item in result.failures],
        }
        if result.critical and self.on_failure == "block":
            return Blocked(reason=result.summary, evidence={**evidence, **value}, inputs=refs)
        return Done(
            value=value,
            metrics={"rows": result.rows, "failed": len(result.failures)},
            inputs=refs,
            evidence=evidence,
        )
