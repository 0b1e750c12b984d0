from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbeat.drift._quantiles import EdgeFinder


def edges(values: Any, bins: int = 1000, piece: int | None = None) -> tuple[float, ...]:
    finder = EdgeFinder(bins)
    for start in range(0, len(values), piece or max(1, len(values))):
        finder.add(values[start : start + (piece or len(values))])
    return finder.edges()


@pytest.mark.parametrize("order", ["random", "ascending", "descending", "organ pipes"])
def test_ranks_stay_within_the_promised_error(order: str) -> None:
    """A quantile's rank is off by at most log2(n / 32768) / 65536 of n, in every order of rows."""
    size = 1_500_000
    values = np.random.default_rng(0).normal(size=size)
    if order != "random":
        values = np.sort(values)
    if order == "descending":
        values = values[::-1]
    if order == "organ pipes":
        values = np.concatenate([values[::2], values[::-2]])
    found = np.asarray(edges(values)[2:-1])
    ranks = np.searchsorted(np.sort(values), found, side="right") / size
    promised = np.log2(size / 32_768) / 65_536
    assert np.abs(ranks - np.arange(1, 1000) / 1000).max() <= promised + 1 / 32_768


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 5_000), st.integers(0, 2**32 - 1))
def test_pieces_do_not_matter(piece: int, seed: int) -> None:
    """However the values come in pieces, the edges are the same to the last bit."""
    values = np.random.default_rng(seed).normal(size=40_000)
    assert edges(values, piece=piece) == edges(values)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=50))
def test_edges_ascend_and_hold_every_value(values: Any) -> None:
    """Edges are finite, ascend strictly, and no finite value falls under the first or over last."""
    array = np.asarray(values, dtype=np.float64) + 0.0
    found = edges(array, bins=10)
    finite = array[np.isfinite(array)]
    assert list(found) == sorted(set(found))
    assert bool(found) == bool(finite.size)
    if finite.size:
        assert found[0] <= finite.min()
        assert found[-1] == finite.max()
