from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backbeat.drift.performance import measure
from backbeat.drift.performance.estimate_residuals import estimate_regressor
from backbeat.drift.performance.residual_cells import (
    ResidualCells,
    count_residuals,
    merge_residuals,
)
from backbeat.errors import ContractBroken

Floats = np.ndarray[Any, np.dtype[np.float64]]


def world(
    random: np.random.Generator, *, days: int, far: float = 0.3
) -> tuple[Floats, Floats, pa.ChunkedArray, np.ndarray[Any, Any]]:
    """Predictions that are worse the larger they are, and three times worse at the harbour."""
    rows = days * 80
    day = np.repeat(np.arange(days), 80)
    predicted = np.where(random.uniform(size=rows) < far, 60.0, 10.0) + random.uniform(0, 5, rows)
    depot = random.choice(["north", "harbour"], rows, p=[1 - far, far])
    size = predicted / 10 * np.where(depot == "harbour", 3, 1)
    moods = random.normal(0, 0.3, days)[day]
    truth = predicted - size * (random.normal(size=rows) + moods)
    return truth, predicted, pa.chunked_array([depot.tolist()]), day


def counted(
    rows: tuple[Floats, Floats, pa.ChunkedArray, np.ndarray[Any, Any]],
    layout_of: ResidualCells | None = None,
    first: int = 0,
) -> ResidualCells:
    """The reference's sums."""
    truth, predicted, depot, day = rows
    names = [f"{number + first:03}" for number in range(day.max() + 1)]
    return count_residuals(
        truth, predicted, units=names, unit=day, explainer=("depot", depot), layout_of=layout_of
    )


def test_the_interval_covers_what_labels_show() -> None:
    """On batches with more of the hard rows, intervals of 95 % hold about as often as they say."""
    random = np.random.default_rng(3)
    held = dict.fromkeys(("mae", "rmse", "bias"), 0)
    for _ in range(120):
        reference = counted(world(random, days=40))
        truth, predicted, depot, _ = world(random, days=7, far=0.6)
        expected, _ = estimate_regressor(predicted, reference, units=7, explainer=depot)
        shown = measure(truth, predicted, task="regression")
        for name in held:
            low, high, value = expected[name].low, expected[name].high, shown[name].value  # type: ignore[index]
            assert low is not None
            assert high is not None
            assert value is not None
            held[name] += low <= value <= high

    assert min(held.values()) / 120 > 0.86
    assert sum(held.values()) / 360 > 0.91


def test_the_explainer_explains() -> None:
    """A batch of harbour rows is expected to be worse; without the explainer nobody can tell."""
    random = np.random.default_rng(4)
    truth, predicted, depot, day = world(random, days=30)
    reference = counted((truth, predicted, depot, day))
    blind = count_residuals(truth, predicted, units=[str(n) for n in range(30)], unit=day)
    harbour = depot.to_numpy() == "harbour"
    shown = np.abs(truth - predicted)[harbour].mean()

    def expected(cells: ResidualCells) -> float:
        found, _ = estimate_regressor(
            predicted[harbour], cells, units=30, explainer=depot.filter(pa.array(harbour))
        )
        assert found["mae"].value is not None
        return found["mae"].value

    assert expected(reference) == pytest.approx(shown, rel=0.03)
    assert expected(blind) < 0.8 * shown


def test_sums_add_up() -> None:
    """Batches that keep one layout give together what they give counted at once."""
    random = np.random.default_rng(5)
    first, second = world(random, days=10), world(random, days=10)
    reference = counted(first)
    merged = merge_residuals([reference, counted(second, reference, first=10)])

    assert merged.units == tuple(f"{number:03}" for number in range(20))
    assert np.sum(merged.rows) == 1600
    both = np.concatenate([first[0] - first[1], second[0] - second[1]])
    assert np.sum(merged.sums["absolute"]) == pytest.approx(np.abs(both).sum(), rel=1e-4)
    # another layout cannot be added, and the newer one is kept
    other = counted(second, first=10)
    assert merge_residuals([reference, other]) == other


def test_a_number_can_explain_and_a_new_value_is_told() -> None:
    """A numeric explainer is cut at its quantiles; nulls have cells of their own."""
    predicted, truth = np.full(300, 10.0), np.zeros(300)
    hours = pa.chunked_array([list(range(300))])
    unit = np.zeros(300, dtype=np.int64)
    by_hour = count_residuals(truth, predicted, units=["a"], unit=unit, explainer=("hour", hours))
    assert len(by_hour.cuts) == 4
    gone = pa.chunked_array([pa.array([None, None, 5], pa.int64())])
    _, unseen = estimate_regressor(predicted[:3], by_hour, units=1, explainer=gone)
    assert unseen == pytest.approx(2 / 3)


def test_an_explainer_of_another_kind_is_refused() -> None:
    """What was text in the reference cannot be a number now, nor be missing."""
    reference = counted(world(np.random.default_rng(6), days=3))
    for explainer in (pa.chunked_array([[1.0]]), None):
        with pytest.raises(ContractBroken) as caught:
            estimate_regressor(np.array([10.0]), reference, units=1, explainer=explainer)
        assert "depot" in caught.value.message
        assert caught.value.hint


def test_it_is_small_json() -> None:
    """What is kept of forty days is JSON that comes back the same."""
    made = counted(world(np.random.default_rng(8), days=40))
    assert ResidualCells.model_validate_json(made.model_dump_json()) == made
