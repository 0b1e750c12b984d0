"""LogLineageOperator: what a task that is not ours has read and written, on the same record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backbeat_provider.operators.base import StepOperator
from backbeat_provider.operators.templated import DatasetFields, Templated

__all__ = ["LogLineageOperator"]


class LogLineageOperator(StepOperator):
    """Record inputs, outputs and facts of work that was done elsewhere.

    Args:
        inputs: What was read: names of data in the store (digested now), or resolved references
            (`{"uri", "digest"}`) to data elsewhere.
        outputs: What was written, likewise.
        facts: Flat JSON worth keeping; becomes the task's output.

    Output: the facts.
    """

    step_kind = "lineage.log/v1"
    template_fields: Sequence[str] = ("inputs", "outputs", "facts", "backbeat_conn_id")
    template_fields_renderers = {  # noqa: RUF012
        "inputs": "json",
        "outputs": "json",
        "facts": "json",
    }

    def __init__(
        self,
        *,
        inputs: Templated[Sequence[DatasetFields]] = (),
        outputs: Templated[Sequence[DatasetFields]] = (),
        facts: Templated[Mapping[str, Any] | None] = None,
        **kwargs: Any,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.facts = facts
        super().__init__(**kwargs)
