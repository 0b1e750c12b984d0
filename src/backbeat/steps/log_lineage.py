"""lineage.log/v1: what a task that is not ours has read and written, on the same record."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from backbeat.ports import Need
from backbeat.reference import DataRef, Dataset
from backbeat.step import Done, Outcome, Step, StepContext
from backbeat.steps.pinned import read_kept

__all__ = ["LogLineage"]


class LogLineage(Step):
    """Record inputs, outputs and facts of work that was done elsewhere.

    Args:
        inputs: What was read: names of data in the store (digested now), or resolved references
            (`{"uri", "digest"}`) to data elsewhere. Data that names a contract must keep it.
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
        """Digest what is named, hold it against its contract, and record."""
        return Done(
            value=self.facts,
            inputs=_resolved(ctx, "input", self.inputs),
            outputs=_resolved(ctx, "output", self.outputs),
        )


def _resolved(
    ctx: StepContext, name: str, named: tuple[DataRef | Dataset, ...]
) -> tuple[DataRef, ...]:
    found: list[DataRef] = []
    for item in named:
        found.extend([item] if isinstance(item, DataRef) else read_kept(ctx, name, item))
    return tuple(found)
