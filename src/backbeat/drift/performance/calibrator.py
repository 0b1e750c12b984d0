"""A frozen step function from a score to how often such a score came true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from backbeat.errors import InvalidData

__all__ = ["Calibrator", "fit_calibrator"]

_Floats = NDArray[np.float64]


class Calibrator(BaseModel):
    """An isotonic calibration as JSON.

    Args:
        begins: Score from which each step holds, ascending; the first holds below itself too.
        probability: The step's probability of class 1, ascending.
        rows: Labelled rows behind each step.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    begins: tuple[float, ...]
    probability: tuple[float, ...]
    rows: tuple[int, ...]

    def step(self, scores: _Floats) -> NDArray[np.int64]:
        """Which step each score is on, shape (n,)."""
        found = np.searchsorted(np.asarray(self.begins), scores, side="right") - 1
        return np.maximum(found, 0).astype(np.int64)

    def __call__(self, scores: _Floats) -> _Floats:
        """The calibrated probability of each score, shape (n,)."""
        return np.asarray(self.probability)[self.step(scores)]


def fit_calibrator(
    begins: Sequence[float] | _Floats, rows: Sequence[int] | _Floats, positives: _Floats
) -> Calibrator:
    """Isotonic regression by pooling adjacent violators (Ayer et al. 1955) over bins of scores.

    Args:
        begins: Each bin's lowest score, ascending, shape (bins,).
        rows: Labelled rows of each bin, above 0, shape (bins,).
        positives: Those of class 1, shape (bins,).

    Raises:
        InvalidData: There is no bin. A retry does not help.
    """
    if len(begins) == 0:
        raise InvalidData(
            "a calibration needs labelled rows, and there are none",
            hint="measure the performance of a batch whose labels are in first",
        )
    blocks: list[tuple[float, float, float]] = []  # where it begins, rows, positives
    for begin, count, hits in zip(begins, rows, positives, strict=True):
        block = (float(begin), float(count), float(hits))
        while blocks and blocks[-1][2] * block[1] >= block[2] * blocks[-1][1]:
            before = blocks.pop()
            block = (before[0], before[1] + block[1], before[2] + block[2])
        blocks.append(block)
    return Calibrator(
        begins=tuple(block[0] for block in blocks),
        probability=tuple(block[2] / block[1] for block in blocks),
        rows=tuple(int(block[1]) for block in blocks),
    )
