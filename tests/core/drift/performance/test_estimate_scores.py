from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backbeat.drift.performance import measure
from backbeat.drift.performance.estimate_scores import estimate_classifier
from backbeat.drift.performance.measured import Measured
from backbeat.drift.performance.score_cells import ScoreCells, count_scores

Floats = np.ndarray[Any, np.dtype[np.float64]]
METRICS: Any = ("roc_auc", "log_loss", "brier", "accuracy", "f1")


def world(
    random: np.random.Generator, *, days: int, rows: int, hard: float = 0.0, mood: float = 0.0
) -> tuple[Floats, Floats, np.ndarray[Any, Any]]:
    """Scores of an overconfident model, labels, and days that have a mood of their own.

    `hard` moves the rows to where the model is unsure; that is no concept drift.
    """
    day = np.repeat(np.arange(days), rows)
    strain = random.normal(0, 1.5 * (1 - hard), days * rows)
    moods = random.normal(0, mood, days)[day]
    truth = random.uniform(size=days * rows) < 1 / (1 + np.exp(-strain - moods))
    return truth.astype(float), 1 / (1 + np.exp(-2 * strain)), day


def counted(truth: Floats, scores: Floats, day: np.ndarray[Any, Any]) -> ScoreCells:
    """The reference's counts."""
    names = [f"{number:03}" for number in range(day.max() + 1)]
    return count_scores(truth, scores, threshold=0.4, units=names, unit=day)


def covers(estimate: Measured, truth: Measured) -> bool:
    """Whether the interval holds what the labels show."""
    assert estimate.low is not None
    assert estimate.high is not None
    assert truth.value is not None
    return estimate.low <= truth.value <= estimate.high


@pytest.mark.parametrize("mood", [0.0, 0.6])
def test_the_interval_covers_what_labels_show(mood: float) -> None:
    """On harder batches than the reference's, intervals of 95 % hold about as often as they say.

    With moods, a day's rows are not independent, and the intervals know it.
    """
    random = np.random.default_rng(7)
    held = dict.fromkeys(METRICS, 0)
    for _ in range(120):
        reference = counted(*world(random, days=40, rows=60, mood=mood))
        truth, scores, _ = world(random, days=7, rows=60, hard=0.3, mood=mood)
        expected, _ = estimate_classifier(scores, reference, units=7)
        shown = measure(truth, scores, task="classification", threshold=0.4)
        for name in METRICS:
            held[name] += covers(expected[name], shown[name])

    assert min(held.values()) / 120 > 0.86
    assert sum(held.values()) / (120 * len(METRICS)) > 0.91


def test_it_sees_that_scores_are_less_certain() -> None:
    """On a batch of harder rows the estimate is lower, as the truth is, before any label."""
    random = np.random.default_rng(1)
    reference = counted(*world(random, days=20, rows=500))
    easy, hard = (world(random, days=7, rows=2000, hard=hard) for hard in (0.0, 0.6))
    estimates = [
        estimate_classifier(scores, reference, units=7)[0] for _, scores, _ in (easy, hard)
    ]
    truths = [measure(*rows[:2], task="classification", threshold=0.4) for rows in (easy, hard)]
    for name in ("roc_auc", "accuracy", "log_loss"):
        for estimate, truth in zip(estimates, truths, strict=True):
            assert estimate[name].value == pytest.approx(truth[name].value, abs=0.02)
    assert estimates[1]["roc_auc"].value < estimates[0]["roc_auc"].value - 0.05  # type: ignore[operator]


def test_the_calibration_is_what_makes_it_right() -> None:
    """The scores themselves are overconfident: taken at their word they would promise more."""
    random = np.random.default_rng(2)
    reference = counted(*world(random, days=20, rows=500))
    truth, scores, _ = world(random, days=20, rows=500)
    promised = np.where(scores >= 0.4, scores, 1 - scores).mean()
    shown = measure(truth, scores, task="classification", threshold=0.4)["accuracy"].value
    estimate = estimate_classifier(scores, reference, units=20)[0]["accuracy"].value

    assert shown is not None
    assert promised > shown + 0.05
    assert estimate == pytest.approx(shown, abs=0.02)


def test_scores_that_nobody_has_labelled_are_told() -> None:
    """A score beyond the reference's is estimated by its nearest, and its share is said."""
    reference = count_scores(
        np.array([0.0, 1.0] * 50),
        np.linspace(0.3, 0.5, 100),
        threshold=0.4,
        units=["a"],
        unit=np.zeros(100, dtype=np.int64),
    )
    _, unseen = estimate_classifier(np.array([0.4, 0.45, 0.9, 0.99]), reference, units=1)

    assert unseen == 0.5


def test_one_expected_class_has_no_ranking() -> None:
    """Where the reference never saw class 1, nothing can be said about the order."""
    reference = count_scores(
        np.zeros(100),
        np.linspace(0, 1, 100),
        threshold=0.4,
        units=["a"],
        unit=np.zeros(100, dtype=np.int64),
    )
    found, _ = estimate_classifier(np.linspace(0, 1, 10), reference, units=1)

    assert found["roc_auc"].value is None
    assert found["roc_auc"].reason == "one class only is expected"
