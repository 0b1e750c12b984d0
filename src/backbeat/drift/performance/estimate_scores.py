"""A classifier's performance before labels come, from calibrated probabilities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from backbeat.drift.performance.calibrator import Calibrator
from backbeat.drift.performance.measured import METRICS, Measured, Metric, measured
from backbeat.drift.performance.score_cells import ScoreCells, bin_numbers, score_edges
from backbeat.drift.performance.spread import estimate_error

__all__ = ["estimate_classifier"]

_Floats = NDArray[np.float64]


def estimate_classifier(
    scores: _Floats,
    reference: ScoreCells,
    *,
    units: int,
    confidence: float = 0.95,
) -> tuple[dict[Metric, Measured], float]:
    """What the labels of a batch will probably show, if a score still means what it meant.

    Each score's calibrated probability makes it partly a hit and partly a miss, and the confusion
    matrix expected so gives each metric (confidence-based performance estimation: Guillory et al.
    2021; Garg et al. 2022, "Leveraging unlabeled data to predict out-of-distribution performance").
    The interval is of the metric that the labels will show. It holds the reference's own sampling,
    the batch's, and what the reference's days differ by.

    Args:
        scores: The batch's probabilities, shape (n,), n > 0.
        reference: How scores came true before.
        units: Days of the batch (1 for a batch that is one unit of the reference).
        confidence: Of the intervals, between 0 and 1.

    Returns:
        The metrics, and the share of scores beyond any that the reference has labels for.
    """
    calibrator = reference.calibrator()
    begins = score_edges(reference.threshold)
    numbers = bin_numbers(scores, reference.threshold)
    here = np.bincount(numbers, minlength=len(begins)).astype(np.float64)
    shown = _shown(scores, numbers, begins)
    expected = calibrator(begins)
    chosen = begins >= reference.threshold

    labelled = np.zeros((len(reference.units), len(begins)))
    labelled[:, list(reference.bins)] = reference.rows
    hits = np.zeros_like(labelled)
    hits[:, list(reference.bins)] = reference.positives
    residuals = hits - labelled * expected

    # by step of the calibration: the batch has other shares of the steps than the reference
    step = calibrator.step(begins)
    steps = len(calibrator.begins)
    step_here = np.bincount(step, weights=here, minlength=steps)
    step_labelled = np.asarray(calibrator.rows, dtype=np.float64)
    weight = (step_here / len(scores)) / (step_labelled / step_labelled.sum())
    uncertainty = expected * (1 - expected)

    results: dict[Metric, Measured] = {}
    for name, value, slope in _expected_metrics(here, expected, chosen, shown):
        pull = np.bincount(step, weights=here * slope, minlength=steps)
        independent = float((here * uncertainty * slope**2).sum()) + float(
            (pull**2 * _step_uncertainty(calibrator) / step_labelled).sum()
        )
        error, counted, clustered = estimate_error(
            residuals @ (slope * weight[step]) * len(scores),
            reference_rows=float(step_labelled.sum()),
            independent=independent,
            units=units,
        )
        results[name] = measured(
            name, value, error, units=counted, clustered=clustered, confidence=confidence
        )
    undefined = Measured(value=None, reason="one class only is expected")
    unseen = (numbers < reference.bins[0]) | (numbers > reference.bins[-1])
    return (
        {name: results.get(name, undefined) for name in METRICS["classification"]},
        float(unseen.mean()),
    )


def _expected_metrics(
    here: _Floats, expected: _Floats, chosen: NDArray[np.bool_], shown: _Floats
) -> Iterator[tuple[Metric, float, _Floats]]:
    """Each metric with its slope: how one more positive in a bin, for a negative, moves it."""
    ones, zeros = here * expected, here * (1 - expected)
    rows, positives, negatives = here.sum(), ones.sum(), zeros.sum()
    if positives > 0 and negatives > 0:
        below = np.cumsum(zeros) - zeros / 2
        above = positives - np.cumsum(ones) + ones / 2
        area = float(ones @ below / (positives * negatives))
        of_one = below / (positives * negatives) - area / positives
        of_zero = above / (positives * negatives) - area / negatives
        yield "roc_auc", area, of_one - of_zero
    smallest = np.finfo(np.float64).eps
    clipped = np.clip(shown, smallest, 1 - smallest)
    means: tuple[tuple[Metric, _Floats, _Floats], ...] = (
        ("log_loss", -np.log(clipped), -np.log(1 - clipped)),
        ("brier", (1 - shown) ** 2, shown**2),
        ("accuracy", chosen.astype(np.float64), (~chosen).astype(np.float64)),
    )
    for name, of_one, of_zero in means:
        yield name, float(ones @ of_one + zeros @ of_zero) / rows, (of_one - of_zero) / rows
    both = here[chosen].sum() + positives
    if both > 0:
        f1 = float(2 * ones[chosen].sum() / both)
        yield "f1", f1, (2 * chosen - f1) / both


def _shown(scores: _Floats, numbers: NDArray[np.int64], begins: _Floats) -> _Floats:
    """The score that stands for each bin: the mean of the batch's, or the middle of the bin."""
    sums = np.bincount(numbers, weights=scores, minlength=len(begins))
    counts = np.bincount(numbers, minlength=len(begins))
    middle = (begins + np.append(begins[1:], 1.0)) / 2
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), middle))


def _step_uncertainty(calibrator: Calibrator) -> _Floats:
    probability = np.asarray(calibrator.probability)
    return np.asarray(probability * (1 - probability))
