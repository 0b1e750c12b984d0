"""How far an estimate may be from the truth: what units of the reference have shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backbeat.drift.performance.measured import MINIMUM_UNITS

__all__ = ["estimate_error"]


def estimate_error(
    residuals: NDArray[np.float64],
    *,
    reference_rows: float,
    independent: float,
    units: int,
) -> tuple[float, int, bool]:
    """The standard error of an estimated mean against the one that the labels will show.

    Both the reference, from which the estimate is made, and the batch are samples of units (days)
    that have something in common within, and with their neighbours. The residuals per unit of the
    reference, weighted to the batch's scores, say how large that is: taken one by one and, where
    there are enough, in stretches as long as the batch (the moving blocks of Kuensch 1989). It
    counts once for the batch and, by its share, once for the reference. Rows taken as independent
    are the least that it can be.

    Args:
        residuals: Sum of observed minus expected per unit of the reference, in order of time, each
            row weighted to the batch, shape (units of the reference,).
        reference_rows: Rows of the reference.
        independent: The same error, squared, were all rows independent.
        units: Units of the batch.

    Returns:
        The standard error, the independent pieces behind it, and whether those are units.
    """
    count = len(residuals)
    if count < MINIMUM_UNITS:
        return float(np.sqrt(independent)), int(reference_rows), False
    found = [(independent, count), (_squared_error(residuals, reference_rows, 1, units), count)]
    stretches = count // units
    if units > 1 and stretches >= MINIMUM_UNITS:
        found.append((_squared_error(residuals, reference_rows, units, units), stretches))
    squared, pieces = max(found)
    return float(np.sqrt(squared)), pieces, True


def _squared_error(
    residuals: NDArray[np.float64], reference_rows: float, length: int, units: int
) -> float:
    count = len(residuals)
    sums = np.convolve(residuals, np.ones(length), mode="valid")
    # of the mean over one stretch, the reference's own mean being taken from as many
    of_stretch = np.square(sums).mean() / (reference_rows * length / count) ** 2
    corrected = of_stretch * count / (count - length)
    return float(corrected * (length / units + length / count))
