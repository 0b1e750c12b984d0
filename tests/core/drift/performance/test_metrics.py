from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbeat.drift.performance import measure


def scored(rows: int, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Labels that come true as often as their scores say."""
    random = np.random.default_rng(seed)
    scores = random.beta(2, 4, rows).round(2)  # rounded: there are ties
    return (random.uniform(size=rows) < scores).astype(float), scores


def test_a_classifiers_metrics_are_scikit_learns() -> None:
    """Each value is the one that scikit-learn computes, ties among the scores included."""
    from sklearn import metrics

    truth, scores = scored(500)
    found = measure(truth, scores, task="classification", threshold=0.3)
    chosen = scores >= 0.3

    assert found["roc_auc"].value == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(truth, scores))
    assert found["brier"].value == pytest.approx(metrics.brier_score_loss(truth, scores))
    assert found["accuracy"].value == pytest.approx(metrics.accuracy_score(truth, chosen))
    assert found["f1"].value == pytest.approx(metrics.f1_score(truth, chosen))


def test_a_regressors_metrics() -> None:
    """Mean size of the errors, root of their mean square, and prediction minus truth."""
    truth, predicted = np.array([0.0, 0, 0, 0]), np.array([1.0, 1, 1, -3])
    found = measure(truth, predicted, task="regression")

    assert found["mae"].value == 1.5
    assert found["rmse"].value == pytest.approx(np.sqrt(3))
    assert found["bias"].value == 0
    assert found["bias"].low is not None
    assert found["bias"].low < 0


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "accuracy", "f1"])
def test_the_error_is_that_of_repeated_samples(metric: Any) -> None:
    """The standard error from one sample is the standard deviation over many samples."""
    drawn = [
        measure(*scored(400, seed), task="classification", threshold=0.3)[metric]
        for seed in range(300)
    ]
    deviation = np.std([item.value for item in drawn])

    assert np.mean([item.error for item in drawn]) == pytest.approx(deviation, rel=0.12)


def test_intervals_know_that_a_day_is_one_observation() -> None:
    """Where days differ, intervals by day cover the truth as promised; intervals by row do not."""
    truth_of_all, covered = 0.0, {True: 0, False: 0}
    for seed in range(300):
        random = np.random.default_rng(seed)
        days = np.repeat(np.arange(10), 100)
        error = random.normal(size=10)[days] + random.normal(size=1000)
        for clustered in covered:
            found = measure(
                np.zeros(1000), error, task="regression", days=days if clustered else None
            )["bias"]
            assert found.low is not None
            assert found.high is not None
            covered[clustered] += found.low <= truth_of_all <= found.high

    assert covered[True] / 300 > 0.92
    assert covered[False] / 300 < 0.5


def test_one_class_defines_no_ranking() -> None:
    """With one class there is no `roc_auc`, and the reason is said; the others stand."""
    found = measure(np.zeros(50), np.full(50, 0.2), task="classification")

    assert found["roc_auc"].value is None
    assert found["roc_auc"].reason == "every label is 0"
    assert found["f1"].value is None
    assert found["brier"].value == pytest.approx(0.04)


def test_all_right_is_not_certain() -> None:
    """A hundred right answers leave room for a wrong one."""
    truth = np.arange(100) % 2.0
    found = measure(truth, truth, task="classification")["accuracy"]

    assert found.value == found.high == 1
    assert found.low is not None
    assert 0.9 < found.low < 0.99


def test_no_rows_have_no_metrics() -> None:
    """Nothing is measured on nothing."""
    found = measure(np.array([]), np.array([]), task="regression")
    assert {item.value for item in found.values()} == {None}


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter(rows: int, seed: int) -> None:
    """Rows and the numbers of their days may come in any order."""
    truth, scores = scored(rows, seed)
    random = np.random.default_rng(seed)
    days, order = random.integers(0, 4, rows), random.permutation(rows)
    straight = measure(truth, scores, task="classification", days=days)
    turned = measure(truth[order], scores[order], task="classification", days=7 - days[order])

    for name, item in straight.items():
        assert turned[name].value == pytest.approx(item.value)
        assert turned[name].error == pytest.approx(item.error)
        assert turned[name].units == item.units
