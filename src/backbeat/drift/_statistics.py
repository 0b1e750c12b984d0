"""A number of a batch beside the same of every past batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backbeat.drift._arrays import Counts, Floats
from backbeat.drift.verdict import Check

__all__ = [
    "BATCH",
    "Statistic",
    "distance_statistic",
    "effective_size",
    "effective_sizes",
    "merged",
]

BATCH = ""

Effect = Callable[[float, float], float]


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One number of a batch and of each past batch.

    Args:
        column: The column, `BATCH` for the batch as a whole.
        check: The check that it belongs to.
        name: Such as `q25`.
        value: Of the batch.
        past: Of each past batch, NaN where it could not be measured.
        resolution: What chance alone moves it by at the batch's size, at least.
        past_resolution: The same of each past batch.
        rising: Whether only a rise is unusual.
        effect: From the value and the value that was expected to an effect of 0 to 1.
    """

    column: str
    check: Check
    name: str
    value: float
    past: Floats
    resolution: float
    past_resolution: Floats
    rising: bool
    effect: Effect


def distance_statistic(
    name: str,
    measured: tuple[str, float, Floats],
    *,
    chance: float,
    spread: float,
    size: float,
    past_sizes: Floats,
) -> Statistic:
    # what a batch of fewer rows has in excess by chance alone is not held against it
    measure, now, effects = measured
    usual = float(np.nanmedian(past_sizes)) if np.isfinite(past_sizes).any() else size
    allowed = chance * (1 / math.sqrt(max(size, 1)) - 1 / math.sqrt(max(usual, 1)))
    return Statistic(
        column=name,
        check="distribution",
        name=measure,
        value=now - max(0.0, allowed),
        past=effects,
        resolution=spread / math.sqrt(max(size, 1)),
        past_resolution=spread / np.sqrt(np.where(past_sizes > 0, past_sizes, 1)),
        rising=True,
        effect=lambda value, _: min(1.0, max(0.0, value + max(0.0, allowed))),
    )


def merged(references: Floats, counts: Counts) -> Counts:
    """The counts of each batch's reference; neighbours share nearly all of theirs."""
    found = np.empty_like(counts)
    row = np.zeros(counts.shape[1], dtype=np.int64)
    for at, change in enumerate(np.diff(references, axis=0, prepend=0).astype(np.int64)):
        moved = np.flatnonzero(change)
        row = row + change[moved] @ counts[moved]
        found[at] = row
    return found


def effective_size(n: int, m: int) -> float:
    return n * m / (n + m) if n and m else 0.0


def effective_sizes(n: Floats | Counts, m: Counts) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(n * m / (n + m), dtype=np.float64)
