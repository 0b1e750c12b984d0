"""A regressor's performance before labels come, from how wrong such predictions were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backbeat.drift.performance.measured import Measured, Metric, measured
from backbeat.drift.performance.residual_cells import STATISTICS, ResidualCells
from backbeat.drift.performance.spread import estimate_error

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["estimate_regressor"]

_Floats = NDArray[np.float64]
_PRIOR_ROWS = 10  # rows that a cell borrows from its bin and its stratum


def estimate_regressor(
    prediction: _Floats,
    reference: ResidualCells,
    *,
    units: int,
    explainer: pa.ChunkedArray | None = None,
    confidence: float = 0.95,
) -> tuple[dict[Metric, Measured], float]:
    """What the labels of a batch will probably show, if such predictions are as wrong as before.

    Each prediction is expected to be as wrong as the reference's were in its cell (bin of
    predictions and stratum of the explainer); a cell with few rows leans on those of its bin and
    of its stratum.

    Args:
        prediction: Shape (n,), n > 0.
        reference: How wrong predictions were before.
        units: Days of the batch (1 for a batch that is one unit of the reference).
        explainer: The column that the reference names, of the same rows.
        confidence: Of the intervals, between 0 and 1.

    Returns:
        The metrics, and the share of predictions in cells that the reference has no labels for.
    """
    rows = np.asarray(reference.rows, dtype=np.float64)
    counts = rows.sum(axis=0)
    cells = reference.cells(prediction, explainer)
    here = np.bincount(cells, minlength=len(counts)).astype(np.float64)
    bins = len(reference.edges) + 1
    weight = (here / len(prediction)) * counts.sum() / (counts + _PRIOR_ROWS)
    # mean of the squared statistic, from which its variance in a cell comes
    squares = {
        "absolute": np.sum(reference.sums["square"], axis=0),
        "square": np.sum(reference.fourth, axis=0),
        "signed": np.sum(reference.sums["square"], axis=0),
    }
    found: dict[str, tuple[float, float, int, bool]] = {}
    for name in STATISTICS:
        sums = np.asarray(reference.sums[name])
        mean = _mean(sums.sum(axis=0), counts, bins)
        variance = np.maximum(_mean(squares[name], counts, bins) - mean**2, 0)
        share = here / len(prediction)
        independent = (share * variance).sum() / len(prediction) + (
            share**2 * variance / (counts + _PRIOR_ROWS)
        ).sum()
        error, counted, clustered = estimate_error(
            ((sums - rows * mean) * weight).sum(axis=1),
            reference_rows=float(counts.sum()),
            independent=float(independent),
            units=units,
        )
        found[name] = float(share @ mean), error, counted, clustered
    results: dict[Metric, Measured] = {}
    value, error, counted, clustered = found["square"]
    root = float(np.sqrt(max(value, 0.0)))
    found["square"] = root, error / (2 * root) if root else 0.0, counted, clustered
    metrics: tuple[Metric, ...] = ("mae", "rmse", "bias")
    for metric, name in zip(metrics, STATISTICS, strict=True):
        value, error, counted, clustered = found[name]
        results[metric] = measured(
            metric, value, error, units=counted, clustered=clustered, confidence=confidence
        )
    return results, float((counts[cells] == 0).mean())


def _mean(sums: _Floats, counts: _Floats, bins: int) -> _Floats:
    """Each cell's mean, leaning on what its bin and its stratum have in common with others."""
    table, rows = sums.reshape(bins, -1), counts.reshape(bins, -1)
    over_all = sums.sum() / counts.sum()
    of_bin = _leaning(table.sum(axis=1), rows.sum(axis=1), over_all)[:, None]
    of_stratum = _leaning(table.sum(axis=0), rows.sum(axis=0), over_all)[None, :]
    # sizes multiply (a place where errors are threefold), signed errors can only be added
    sizes = bool((sums >= 0).all()) and over_all > 0
    prior = of_bin * of_stratum / over_all if sizes else of_bin + of_stratum - over_all
    return _leaning(sums, counts, prior.ravel())


def _leaning(sums: _Floats, counts: _Floats, prior: _Floats | float) -> _Floats:
    return np.asarray((sums + _PRIOR_ROWS * prior) / (counts + _PRIOR_ROWS))
