from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from backbeat.drift.distance import (
    categories_distance,
    categories_effects,
    ks_distance,
    ks_effects,
    missing_distance,
    psi,
)
from backbeat.errors import InvalidData

SAMPLE = st.lists(st.integers(-20, 20), min_size=3, max_size=60)
COUNTS = st.lists(st.integers(0, 200), min_size=6, max_size=6)


def counted(one: Any, two: Any) -> list[Any]:
    edges = np.unique([*one, *two])
    return [np.bincount(np.searchsorted(edges, s), minlength=edges.size) for s in (one, two)]


@settings(deadline=None)
@given(SAMPLE, SAMPLE)
def test_d_is_scipys_where_every_value_is_an_edge(one: Any, two: Any) -> None:
    """On edges that are all distinct values, D is the two-sample statistic itself."""
    expected = stats.ks_2samp(one, two, method="asymp").statistic
    assert ks_distance(*counted(one, two)).effect == pytest.approx(expected, abs=1e-12)


def test_p_follows_kolmogorovs_limit() -> None:
    """For large samples p is close to scipy's exact computation."""
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=3_000), rng.normal(0.05, size=2_000)
    exact = stats.ks_2samp(one, two, method="exact").pvalue
    assert ks_distance(*counted(one, two)).p == pytest.approx(exact, rel=0.1)


def test_chi_square_is_scipys_where_nothing_is_rare() -> None:
    """Statistic and degrees of freedom are those of the contingency table."""
    one, two = [400, 300, 200, 100], [180, 160, 110, 50]
    expected = stats.chi2_contingency([one, two], correction=False)
    assert categories_distance(one, two).p == pytest.approx(expected.pvalue)


@given(COUNTS, st.integers(2, 50))
def test_the_effect_does_not_depend_on_sizes(counts: Any, factor: int) -> None:
    """A reference many times as long shows the same effect, as sqrt(chi2 / N) would not."""
    one, two = np.array(counts) + 1_000, np.array(counts[::-1]) + 1_000
    alike = categories_distance(one, two)
    longer = categories_distance(one * factor, two)
    assert longer.effect == pytest.approx(alike.effect)
    statistic = stats.chi2_contingency([one, two], correction=False).statistic
    assert alike.effect == pytest.approx(np.sqrt(statistic / (one.sum() + two.sum())))


def test_rare_categories_are_pooled_but_not_hidden() -> None:
    """Cells with an expected count under 5 become one cell; a renamed category still shows."""
    one = [100_000, 900_000, *[1] * 50, 0]
    assert categories_distance(one, [30, 270, *[0] * 51]).cells == 3
    renamed = categories_distance(one, [0, 270, *[0] * 50, 30])
    assert renamed.p < 1e-6
    assert renamed.effect > 0.2


def test_identifiers_leave_nothing_to_compare() -> None:
    """Where every category is rare, one cell remains: no effect is claimed."""
    found = categories_distance([1] * 500 + [0] * 500, [0] * 500 + [1] * 500, rest=(10, 10))
    assert (found.cells, found.effect, found.p) == (1, 0.0, 1.0)


@pytest.mark.parametrize("current", [400, 5_000])
def test_chi_square_alarms_at_its_level_against_a_long_reference(current: int) -> None:
    """Unchanged long-tailed categories are rejected at 5% in about 5% of batches."""
    rng = np.random.default_rng(7)
    shares = 1 / np.arange(1, 301) ** 1.1
    shares /= shares.sum()
    ps = [
        categories_distance(rng.multinomial(100_000, shares), rng.multinomial(current, shares)).p
        for _ in range(300)
    ]
    assert np.mean(np.array(ps) <= 0.05) <= 0.09


@pytest.mark.parametrize("measure", ["ks", "chi2"])
def test_the_smallest_effect_is_seen_with_the_promised_power(measure: str) -> None:
    """A change of exactly the smallest effect is found in at least about 80% of batches."""
    rng = np.random.default_rng(8)
    n, m = 20_000, 800
    same = np.ones(8) / 8
    compare = ks_distance if measure == "ks" else categories_distance
    effect = compare(rng.multinomial(n, same), rng.multinomial(m, same)).smallest_effect(
        q=0.05, power=0.8
    )
    # the first half of the cells gains what the second loses
    tilt = np.repeat([1, -1], 4)
    size = 2 * effect if measure == "ks" else _tilt_for(effect)
    moved = same * (1 + size * tilt)
    found = [
        compare(rng.multinomial(n, same), rng.multinomial(m, moved)).p <= 0.05 for _ in range(300)
    ]
    assert np.mean(found) >= 0.73


def _tilt_for(effect: float) -> float:
    tilts = np.linspace(0, 0.9, 9_001)
    effects = np.sqrt((tilts**2 / (2 + tilts) + tilts**2 / (2 - tilts)) / 4)
    return float(tilts[np.searchsorted(effects, effect)])


@given(COUNTS, COUNTS)
def test_every_measure_stays_in_its_bounds_and_is_symmetric(one: Any, two: Any) -> None:
    """Effects and p-values lie in [0, 1], ignore the order of sides, and are 0 between equals."""
    for compare in (ks_distance, categories_distance):
        found = compare(one, two)
        assert 0 <= found.effect <= 1
        assert 0 <= found.p <= 1
        assert compare(two, one).effect == pytest.approx(found.effect)
        assert compare(one, one).effect == 0
    if sum(one) and sum(two):
        assert psi(one, two) == pytest.approx(psi(two, one))
        assert psi(one, one) == 0


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=5))
def test_the_effects_of_a_history_are_those_of_its_batches(pairs: Any) -> None:
    """Many batches at once give each batch's own effect, and NaN where a side is empty."""
    one, two = (np.array(side) for side in zip(*pairs, strict=True))
    ks, chi2 = ks_effects(one, two), categories_effects(one, two)
    for at, (old, new) in enumerate(pairs):
        if not sum(old) or not sum(new):
            assert np.isnan([ks[at], chi2[at]]).all()
            continue
        assert ks[at] == pytest.approx(ks_distance(old, new).effect)
        rest = (old[-1], new[-1])
        expected = categories_distance(old[:-1], new[:-1], rest=rest).effect
        assert chi2[at] == pytest.approx(expected)


def test_missing_rows_are_compared_as_shares() -> None:
    """The effect is the difference of the shares; without rows there is nothing to compare."""
    assert missing_distance(10, 1_000, 300, 1_000).effect == pytest.approx(0.29)
    assert missing_distance(1, 1, 0, 0).p == 1.0


def test_other_edges_are_refused() -> None:
    """Counts of different lengths come from different edges."""
    with pytest.raises(InvalidData, match="different edges"):
        ks_distance([1, 2], [1, 2, 3])
