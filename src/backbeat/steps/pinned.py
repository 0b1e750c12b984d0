"""Inputs as the claim pinned them: what is performed on is what was claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbeat.canonical import digest
from backbeat.data import open_dataset, references
from backbeat.errors import Conflict
from backbeat.reference import DataRef, Dataset
from backbeat.step import StepContext

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["open_pinned", "pin"]


def pin(ctx: StepContext, dataset: Dataset) -> str:
    """One digest over the files that a floating reference means now."""
    return _digest(references(ctx.store, dataset))


def open_pinned(
    ctx: StepContext, name: str, dataset: Dataset
) -> tuple[ds.Dataset, tuple[DataRef, ...]]:
    """Open an input whose claim is `ctx.inputs[name]`.

    Raises:
        Conflict: The files have changed since the claim.
    """
    refs = references(ctx.store, dataset)
    if _digest(refs) != ctx.inputs[name]:
        raise Conflict(
            f"the {name} ({dataset.uri}) changed while the step ran: nothing was written",
            hint="let the producer finish (write to a temporary name, then rename), then run again",
        )
    return open_dataset(ctx.store, refs), refs


def _digest(refs: tuple[DataRef, ...]) -> str:
    return digest([[ref.uri, ref.digest] for ref in refs])
