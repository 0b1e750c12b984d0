from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from backbeat.drift.performance import Calibrator, fit_calibrator
from backbeat.drift.performance.score_cells import count_scores, merge_scores, score_edges
from backbeat.errors import InvalidData

COUNTS = st.lists(
    st.tuples(st.integers(1, 50), st.integers(0, 50)).map(lambda p: (p[0], min(p))),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(COUNTS)
def test_it_is_the_isotonic_regression(counts: list[tuple[int, int]]) -> None:
    """Pooling adjacent violators gives what scikit-learn's isotonic regression gives."""
    begins = np.linspace(0, 0.9, len(counts))
    rows, positives = np.array(counts, dtype=float).T
    found = fit_calibrator(begins, rows, positives)
    expected = IsotonicRegression().fit(begins, positives / rows, rows).predict(begins)

    assert found(begins) == pytest.approx(expected)
    assert list(found.probability) == sorted(found.probability)
    assert sum(found.rows) == rows.sum()


def test_it_is_a_small_piece_of_json() -> None:
    """Frozen as JSON and read again it is the same function, also beyond what it has seen."""
    made = fit_calibrator([0.2, 0.5, 0.8], [10, 10, 10], np.array([1.0, 5, 9]))
    again = Calibrator.model_validate_json(made.model_dump_json())

    assert again == made
    assert again(np.array([0.0, 0.2, 0.6, 1.0])).tolist() == [0.1, 0.1, 0.5, 0.9]


def test_nothing_calibrates_nothing() -> None:
    """Without labelled rows there is no calibration, and the error says what to do first."""
    with pytest.raises(InvalidData, match="a calibration needs labelled rows"):
        fit_calibrator([], [], np.array([]))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 3)), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_counts_add_up(rows: list[tuple[float, bool, int]], threshold: float) -> None:
    """Counting days apart and adding them is counting them together."""
    scores, hits, day = (np.array(column) for column in zip(*rows, strict=True))
    truth = hits.astype(float)
    names, place = np.unique(day.astype(str), return_inverse=True)
    whole = count_scores(truth, scores, threshold=threshold, units=names.tolist(), unit=place)
    parts = [
        count_scores(
            truth[place == number],
            scores[place == number],
            threshold=threshold,
            units=[str(name)],
            unit=np.zeros((place == number).sum(), dtype=np.int64),
        )
        for number, name in enumerate(names)
    ]

    assert merge_scores(parts[::-1]) == whole
    # a day that comes again replaces itself
    assert merge_scores([*parts, parts[0]]) == whole


@settings(deadline=None)
@given(st.floats(0, 1))
def test_no_bin_is_on_both_sides_of_the_threshold(threshold: float) -> None:
    """The threshold is an edge."""
    assert threshold in score_edges(threshold)
