"""The one model that every server serves, in plain numpy."""

from __future__ import annotations

import numpy as np

__all__ = ["FEATURES", "NAME", "VERSION", "label", "score"]

NAME = "churn"
VERSION = "1"
FEATURES = ("a", "b", "c", "d")
_WEIGHTS = np.array([0.3, -0.2, 0.5, -0.1])
_BIAS = 0.05


def score(rows: np.ndarray) -> np.ndarray:
    """The probability of each row.

    Args:
        rows: Float64, one row a case, the columns a, b, c, d.

    Returns:
        Float64, one number a row.

    Raises:
        ValueError: There are not four columns, or what is in them are no numbers.
    """
    if rows.ndim != 2 or rows.shape[1] != len(FEATURES):
        raise ValueError(f"churn takes rows of {len(FEATURES)} numbers, not {rows.shape}")
    return 1 / (1 + np.exp(-(rows.astype(np.float64) @ _WEIGHTS + _BIAS)))


def label(scores: np.ndarray) -> np.ndarray:
    """1 where a score is at least a half, else 0, as int64."""
    return (scores >= 0.5).astype(np.int64)
