from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from backbeat.canonical import digest
from backbeat.errors import InvalidData, InvalidStep
from backbeat.training.comparison import Comparison, compare

BINARY = ["log_loss", "brier", "roc_auc"]
REGRESSION = ["mae", "rmse"]
EVERY = BINARY + REGRESSION


def scored(metric: str, rows: int = 400, seed: int = 1) -> tuple[Any, Any, Any]:
    """Labels, a blunt champion and a sharp challenger."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=rows)
    if metric in REGRESSION:
        labels = signal + rng.normal(scale=0.2, size=rows)
        return labels, signal + rng.normal(scale=1.0, size=rows), signal
    labels = (rng.random(rows) < 1 / (1 + np.exp(-2 * signal))).astype(int)
    blunt = 1 / (1 + np.exp(-(signal + rng.normal(scale=1.5, size=rows))))
    return labels, blunt, 1 / (1 + np.exp(-2 * signal))


@pytest.mark.parametrize(
    ("metric", "reference", "sign"),
    [
        ("log_loss", sk.log_loss, -1),
        ("brier", sk.brier_score_loss, -1),
        ("roc_auc", sk.roc_auc_score, 1),
        ("mae", sk.mean_absolute_error, -1),
        ("rmse", sk.root_mean_squared_error, -1),
    ],
)
def test_metrics_equal_scikit_learns(metric: Any, reference: Any, sign: int) -> None:
    """Both models' metrics are scikit-learn's, and a positive difference favours the challenger."""
    labels, champion, challenger = scored(metric)

    found = compare(labels, champion, challenger, metric=metric, samples=200)

    assert found.champion == pytest.approx(reference(labels, champion), rel=1e-12)
    assert found.challenger == pytest.approx(reference(labels, challenger), rel=1e-12)
    assert found.difference == pytest.approx(sign * (found.challenger - found.champion))
    assert found.difference > 0
    assert found.low < found.difference < found.high
    assert found.verdict == "better"


def test_ties_and_certainty_equal_scikit_learns() -> None:
    """Tied ranks count half, and a certain wrong probability costs what scikit-learn says."""
    labels = np.tile([0, 1, 1], 20)
    coarse = np.tile([0.0, 1.0, 0.0], 20)
    level = np.full(60, 0.5)

    ranked = compare(labels, level, coarse, metric="roc_auc", samples=100)
    certain = compare(labels, level, coarse, metric="log_loss", samples=100)

    assert ranked.champion == sk.roc_auc_score(labels, level) == 0.5
    assert ranked.challenger == pytest.approx(sk.roc_auc_score(labels, coarse))
    assert certain.challenger == pytest.approx(sk.log_loss(labels, coarse))


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize("grouped", [False, True])
def test_swapping_the_models_flips_the_signs(metric: Any, grouped: bool) -> None:
    """Whoever is called champion, the same difference and interval come out, mirrored."""
    labels, champion, challenger = scored(metric)
    groups = np.arange(400) % 20 if grouped else None
    options: dict[str, Any] = {"metric": metric, "groups": groups, "samples": 300, "seed": 7}

    one = compare(labels, champion, challenger, **options)
    other = compare(labels, challenger, champion, **options)

    assert other.difference == -one.difference
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=1e-12)
    assert (one.verdict, other.verdict) == ("better", "not_better")


@pytest.mark.parametrize("metric", EVERY)
def test_the_seed_decides_everything(metric: Any) -> None:
    """The same seed gives the same numbers to the last bit, another seed another interval."""
    labels, champion, challenger = scored(metric)

    def run(seed: int) -> Comparison:
        return compare(labels, champion, challenger, metric=metric, samples=200, seed=seed)

    assert digest(run(3).model_dump(mode="json")) == digest(run(3).model_dump(mode="json"))
    assert (run(3).low, run(3).high) != (run(4).low, run(4).high)


def test_an_interval_covers_as_often_as_it_says() -> None:
    """Over 300 simulated nights a 90 % interval holds the true difference in about 90 %."""
    rng = np.random.default_rng(11)
    covered = 0
    for night in range(300):
        labels = rng.normal(size=200)
        found = compare(
            labels,
            labels + rng.normal(scale=1.5, size=200),
            labels + rng.normal(scale=1.0, size=200),
            metric="mae",
            confidence=0.9,
            samples=400,
            seed=night,
        )
        covered += found.low <= 0.5 * np.sqrt(2 / np.pi) <= found.high

    assert 0.85 <= covered / 300 <= 0.95


def test_whole_days_are_drawn_where_days_are_given() -> None:
    """With a shared error per day, day-wise intervals cover and row-wise ones are far too sure."""
    rng = np.random.default_rng(5)
    days = np.repeat(np.arange(40), 25)
    covered = {"days": 0, "rows": 0}
    for trial in range(150):
        labels = np.zeros(1000)
        shared = rng.normal(scale=1.0, size=40)[days]
        champion = np.abs(5 + shared + rng.normal(scale=0.3, size=1000))
        challenger = np.full(1000, 5.0)
        for name, groups in (("days", days), ("rows", None)):
            found = compare(
                labels,
                champion,
                challenger,
                metric="mae",
                groups=groups,
                samples=300,
                seed=trial,
            )
            covered[name] += found.low <= 0 <= found.high

    assert covered["days"] / 150 > 0.88
    assert covered["rows"] / 150 < 0.6


@pytest.mark.parametrize("metric", EVERY)
def test_groups_of_one_row_are_rows(metric: Any) -> None:
    """Drawing groups that hold one row each is drawing rows."""
    labels, champion, challenger = scored(metric, rows=200)
    options: dict[str, Any] = {"metric": metric, "samples": 200}

    rows = compare(labels, champion, challenger, **options)
    groups = compare(labels, champion, challenger, groups=np.arange(200), **options)

    assert (groups.low, groups.high) == pytest.approx((rows.low, rows.high), abs=1e-12)
    assert (rows.groups, groups.groups) == (None, 200)


@pytest.mark.parametrize("kind", ["text", "date", "number"])
def test_a_day_may_be_written_in_any_way(kind: str) -> None:
    """Days as text, dates or numbers make the same groups."""
    labels, champion, challenger = scored("brier")
    number = np.arange(400) // 40
    day = np.datetime64("2013-03-01") + number
    groups = {"text": day.astype(str).astype(object), "date": day, "number": number}[kind]

    found = compare(labels, champion, challenger, metric="brier", groups=groups, samples=200)

    expected = compare(labels, champion, challenger, metric="brier", groups=number, samples=200)
    assert found == expected
    assert found.groups == 10


def test_the_verdict_turns_at_the_margin() -> None:
    """Better means that the interval's lower end is above the margin, not at it."""
    labels, champion, challenger = scored("mae")
    low = compare(labels, champion, challenger, metric="mae").low

    def verdict(margin: float) -> str:
        return compare(labels, champion, challenger, metric="mae", margin=margin).verdict

    assert verdict(np.nextafter(low, -1)) == "better"
    assert verdict(low) == "not_better"
    assert verdict(low + 0.01) == "not_better"


def test_equal_models_are_not_better_but_not_worse() -> None:
    """A model against itself has no difference: not better, and inside any margin below 0."""
    labels, champion, _ = scored("log_loss")

    found = compare(labels, champion, champion, metric="log_loss")
    inferior_by_at_most = compare(labels, champion, champion, metric="log_loss", margin=-0.001)

    assert (found.low, found.difference, found.high) == (0, 0, 0)
    assert found.verdict == "not_better"
    assert inferior_by_at_most.verdict == "better"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), metric=st.sampled_from(EVERY))
def test_the_order_of_rows_does_not_matter(seed: int, metric: Any) -> None:
    """Rows in another order have the same metrics and the same difference."""
    labels, champion, challenger = scored(metric, rows=60, seed=seed)
    if len(np.unique(labels)) == 1:
        labels[0] = 1 - labels[0]
    order = np.random.default_rng(seed).permutation(60)

    one = compare(labels, champion, challenger, metric=metric, samples=100)
    other = compare(labels[order], champion[order], challenger[order], metric=metric, samples=100)

    assert other.difference == pytest.approx(one.difference, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9]), min_size=40, max_size=40),
    flips=st.integers(1, 39),
)
def test_the_area_with_ties_is_scikit_learns(scores: list[float], flips: int) -> None:
    """However scores tie, the area under the curve is scikit-learn's."""
    labels = (np.arange(40) < flips).astype(int)[np.random.default_rng(flips).permutation(40)]
    if min(flips, 40 - flips) < 5:
        labels[:5], labels[5:10] = 0, 1

    found = compare(labels, np.array(scores), np.arange(40) / 40, metric="roc_auc", samples=100)

    assert found.champion == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)


def test_a_large_table_is_drawn_in_parts() -> None:
    """More draws than are held at once give the interval that theory expects."""
    rng = np.random.default_rng(2)
    champion = np.abs(rng.normal(size=300_000))
    labels, challenger = np.zeros(300_000), np.zeros(300_000)

    found = compare(labels, champion, challenger, metric="mae", samples=100)

    half = 1.96 * champion.std() / np.sqrt(300_000)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.25)


def changed(array: Any, value: float) -> Any:
    copy = np.asarray(array, dtype=float).copy()
    copy[3] = value
    return copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y, a, b: (y[:-1], a, b), "different lengths: \\[399, 400, 400\\]"),
        (lambda y, a, b: (y, changed(a, np.nan), b), "1 of 400 values of `champion`"),
        (lambda y, a, b: (y, a, changed(b, np.inf)), "1 of 400 values of `challenger`"),
        (lambda y, a, b: (changed(y, np.nan), a, b), "1 of 400 values of `labels`"),
        (lambda y, a, b: (changed(y, 2), a, b), "other than 0 and 1"),
        (lambda y, a, b: (y, a, changed(b, 1.2)), "challenger's scores reach from .* to 1.2"),
        (lambda y, a, b: (y, changed(a, -0.1), b), "champion's scores reach from -0.1"),
        (lambda y, a, b: (y[:29], a[:29], b[:29]), "29 rows, .* at least 30"),
        (lambda y, a, b: (y[:0], a[:0], b[:0]), "0 rows"),
        (lambda y, a, b: (y, np.c_[1 - a, a], b), "`champion` has the shape \\(400, 2\\)"),
        (lambda y, a, b: (y.astype(str).astype(object) + "x", a, b), "`labels` are not numbers"),
    ],
)
def test_foreign_values_are_refused(change: Any, message: str) -> None:
    """What cannot be compared is refused, and the sentence says which values and why."""
    with pytest.raises(InvalidData, match=message) as caught:
        compare(*change(*scored("log_loss")), metric="log_loss")

    assert caught.value.hint


def test_one_class_has_no_ranking() -> None:
    """`roc_auc` needs both classes in the data, and nearly always in the resamples."""
    _, champion, challenger = scored("roc_auc")
    lone = np.zeros(400)

    with pytest.raises(InvalidData, match="Every label is 0"):
        compare(lone, champion, challenger, metric="roc_auc")
    lone[0] = 1
    with pytest.raises(InvalidData, match="resamples hold one class only"):
        compare(lone, champion, challenger, metric="roc_auc", samples=200)


def test_one_class_still_has_a_loss() -> None:
    """A quiet night without the rare class can be compared by `log_loss`."""
    _, champion, challenger = scored("log_loss")

    found = compare(np.zeros(400), champion, challenger, metric="log_loss", samples=100)

    assert found.champion == pytest.approx(sk.log_loss(np.zeros(400), champion, labels=[0, 1]))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.arange(399), "shape \\(399,\\) for 400 rows"),
        (np.zeros(400), "1 groups"),
        (np.arange(400) % 4, "4 groups"),
        (np.r_[np.nan, np.arange(399)], "no group"),
        (np.array([None, *"abcdefg"] * 50, dtype=object), "told apart"),
    ],
)
def test_groups_that_carry_no_interval_are_refused(groups: Any, message: str) -> None:
    """One day would give an interval without width, a false certainty: it is refused."""
    with pytest.raises(InvalidData, match=message):
        compare(*scored("brier"), metric="brier", groups=groups)


@pytest.mark.parametrize(
    "settings_",
    [
        {"metric": "f1"},
        {"metric": "mae", "confidence": 95},
        {"metric": "mae", "samples": 10},
        {"metric": "mae", "margin": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(settings_: dict[str, Any]) -> None:
    """An unknown metric or an impossible setting is the step's fault, not the data's."""
    with pytest.raises(InvalidStep):
        compare(*scored("mae"), **settings_)
