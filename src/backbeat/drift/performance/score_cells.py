"""How a classifier's scores came true: counts per day and bin of scores, which can be added."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from backbeat.drift.performance.calibrator import Calibrator, fit_calibrator

__all__ = ["ScoreCells", "bin_numbers", "count_scores", "merge_scores", "score_edges"]

_Floats = NDArray[np.float64]
# even steps of the log odds: as fine near 0 and 1, where rare events are, as in the middle
_LOG_ODDS, _STEP = 12.0, 0.1


class ScoreCells(BaseModel):
    """Labelled rows by unit (a day, or a batch) and bin of scores, without the bins that are empty.

    Args:
        threshold: Also an edge, so that no bin is on both sides of it.
        bins: Numbers of the bins that hold rows, ascending; a bin's lowest score is in
            `score_edges(threshold)`.
        units: Name of each unit.
        rows: Labelled rows, units x bins.
        positives: Those of class 1, units x bins.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    threshold: float
    bins: tuple[int, ...]
    units: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    positives: tuple[tuple[int, ...], ...]

    def calibrator(self) -> Calibrator:
        """The isotonic calibration of all units together."""
        begins = score_edges(self.threshold)[list(self.bins)]
        rows = np.sum(self.rows, axis=0)
        return fit_calibrator(begins, rows, np.sum(self.positives, axis=0))


def score_edges(threshold: float) -> _Floats:
    """The bins' lowest scores, the same everywhere for one threshold, shape (bins,)."""
    odds = np.arange(-_LOG_ODDS, _LOG_ODDS + _STEP / 2, _STEP)
    # rounded, so that no other machine's exp() moves a row into another bin
    edges = np.round(1 / (1 + np.exp(-odds)), 9)
    return np.unique(np.concatenate([[0.0, threshold], edges]))


def bin_numbers(scores: _Floats, threshold: float) -> NDArray[np.int64]:
    """Each score's bin, shape (n,)."""
    return np.searchsorted(score_edges(threshold), scores, side="right").astype(np.int64) - 1


def count_scores(
    truth: _Floats,
    scores: _Floats,
    *,
    threshold: float,
    units: Sequence[str],
    unit: NDArray[np.int64],
) -> ScoreCells:
    """Count labelled rows.

    Args:
        truth: 0 or 1, shape (n,).
        scores: Probabilities, shape (n,).
        threshold: A score from here on is class 1.
        units: Names of the units.
        unit: Number of each row's unit, shape (n,).
    """
    width = len(score_edges(threshold))
    place = unit * width + bin_numbers(scores, threshold)
    shape = (len(units), width)
    rows = np.bincount(place, minlength=len(units) * width).reshape(shape)
    hits = np.bincount(place[truth == 1], minlength=len(units) * width).reshape(shape)
    used = np.flatnonzero(rows.any(axis=0))
    return ScoreCells(
        threshold=threshold,
        bins=tuple(used.tolist()),
        units=tuple(units),
        rows=tuple(map(tuple, rows[:, used].tolist())),
        positives=tuple(map(tuple, hits[:, used].tolist())),
    )


def merge_scores(parts: Sequence[ScoreCells]) -> ScoreCells:
    """Add counts of one threshold; a unit that is in several is taken from the last of them."""
    last = {unit: (part, row) for part in parts for row, unit in enumerate(part.units)}
    used = sorted({number for part in parts for number in part.bins})
    rows, positives = [], []
    units = sorted(last)  # in order of time
    for part, row in map(last.__getitem__, units):
        counted = dict(zip(part.bins, part.rows[row], strict=True))
        hits = dict(zip(part.bins, part.positives[row], strict=True))
        rows.append(tuple(counted.get(number, 0) for number in used))
        positives.append(tuple(hits.get(number, 0) for number in used))
    filled = [place for place in range(len(used)) if any(row[place] for row in rows)]
    return ScoreCells(
        threshold=parts[-1].threshold,
        bins=tuple(used[place] for place in filled),
        units=tuple(units),
        rows=tuple(tuple(row[place] for place in filled) for row in rows),
        positives=tuple(tuple(row[place] for place in filled) for row in positives),
    )
