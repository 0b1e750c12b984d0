from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from backbeat.errors import InvalidData
from backbeat.inference import as_scores

POSITIVE = [0.25, 0.75]
TWO = [[0.75, 0.25], [0.25, 0.75]]


@pytest.mark.parametrize(
    "prediction",
    [
        POSITIVE,
        tuple(POSITIVE),
        np.array(POSITIVE),
        np.array(POSITIVE, dtype="float32"),
        np.array([[0.25], [0.75]]),
        pd.Series(POSITIVE, index=[7, 9]),
        pd.DataFrame({"score": POSITIVE}),
        pa.array(POSITIVE),
        TWO,
        np.array(TWO),
        pd.DataFrame(TWO, columns=["no", "yes"]),
    ],
)
def test_every_form_gives_one_float_a_row(prediction: Any) -> None:
    """Vectors are taken as they are; of two columns the last is the positive class."""
    scores = as_scores(prediction, 2)
    assert scores.dtype == np.float64
    assert scores.tolist() == POSITIVE


def test_labels_and_truth_values_are_numbers() -> None:
    """A classifier's integer classes and booleans are scores too."""
    assert as_scores(np.array([True, False]), 2).tolist() == [1.0, 0.0]
    assert as_scores([3, 4], 2).tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("prediction", "rows", "reason"),
    [
        ([0.1], 2, "gave 1 for 2 rows"),
        (0.5, 1, "gave one value for 1 rows"),
        (np.zeros((2, 3)), 2, r"shape \(2, 3\)"),
        (np.zeros((2, 0)), 2, r"shape \(2, 0\)"),
        (np.zeros((2, 2, 2)), 2, r"shape \(2, 2, 2\)"),
        ([0.1, float("nan")], 2, "1 of 2 rows"),
        ([0.1, float("inf")], 2, "1 of 2 rows"),
        ([0.1, None], 2, "1 of 2 rows"),
        (["late", "on time"], 2, "not made of numbers"),
        ([[0.1], [0.1, 0.2]], 2, "not made of numbers"),
    ],
)
def test_everything_else_is_invalid(prediction: Any, rows: int, reason: str) -> None:
    """Another number of rows or columns, NaN, infinities and text are refused with a hint."""
    with pytest.raises(InvalidData, match=reason) as caught:
        as_scores(prediction, rows)
    assert caught.value.hint
