"""lineage.log/v1: what a task that is not ours has read and written, on the same record."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from backbeat.data import references
from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Step, StepContext

__all__ = ["LogLineage"]


class LogLineage(Step):
    """Record inputs, outputs and facts of work that was done elsewhere.

    Args:
        inputs: What was read: names of data in the store (digested now), or resolved references
            (`{"uri", "digest"}`) to data elsewhere.
        outputs: What was written, likewise.
        facts: Flat JSON worth keeping; becomes the step's value.

    Value: the facts.
    """

    kind: ClassVar[str] = "lineage.log/v1"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE})

    inputs: tuple[DataRef | Dataset, ...] = ()
    outputs: tuple[DataRef | Dataset, ...] = ()
    facts: dict[str, Any] = Field(default_factory=dict)

    def perform(self, ctx: StepContext) -> Outcome:
        """Digest what is named, and record."""
        return Done(
            value=self.facts,
            inputs=_resolved(ctx, self.inputs),
            outputs=_resolved(ctx, self.outputs),
        )


def _resolved(ctx: StepContext, named: tuple[DataRef | Dataset, ...]) -> tuple[DataRef, ...]:
    found: list[DataRef] = []
    for item in named:
        found.extend([item] if isinstance(item, DataRef) else references(ctx.store, item))
    return tuple(found)
