from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.drift import Decision, Profile, build_profile, decide
from backbeat.drift.decision import benjamini_hochberg
from backbeat.errors import InvalidData, InvalidStep


def profile(columns: dict[str, Any], **options: Any) -> Profile:
    return build_profile(ds.dataset(pa.table(columns)), **options)


def compare(reference: dict[str, Any], current: dict[str, Any], **options: Any) -> Decision:
    old = profile(reference)
    return decide(old, profile(current, edges_from=old), **options)


def batch(rng: np.random.Generator, size: int, columns: int = 8) -> dict[str, Any]:
    found: dict[str, Any] = {f"x{at}": rng.normal(size=size) for at in range(columns)}
    found["c"] = rng.choice(list("abcdefgh"), size=size)
    return found


MILES = np.array([184, 229, 502, 719, 762, 1089, 1400, 2248, 2475, 2586], dtype=float)


def test_unchanged_data_rarely_alarm() -> None:
    """Over 60 unchanged batches, no more have any alarm than Benjamini-Hochberg promises."""
    rng = np.random.default_rng(11)
    reference = profile(batch(rng, 5_000))
    verdicts = [
        decide(
            reference,
            profile(batch(rng, 1_500), edges_from=reference),
            effect_floor=0.0,
            smallest_effect=0.1,
        ).verdict
        for _ in range(60)
    ]
    # 3 of 60 are expected at q = 0.05; 8 or more would happen in 1% of such runs
    assert verdicts.count("drifted") <= 7
    assert set(verdicts) <= {"stable", "drifted"}


def test_a_shift_of_a_fifth_of_a_deviation_is_found() -> None:
    """At 5,000 rows a shift of 0.2 standard deviations in one of nine columns is always found."""
    rng = np.random.default_rng(12)
    reference = profile(batch(rng, 5_000))
    for _ in range(10):
        current = batch(rng, 5_000)
        current["x3"] += 0.2
        found = decide(reference, profile(current, edges_from=reference), effect_floor=0.05)
        assert found.verdict == "drifted"
        assert found.columns[0].name == "x3"
        assert found.columns[0].fired == "distribution"


def test_an_effect_under_the_floor_is_no_drift() -> None:
    """A certain but small change does not count: significance alone alarms on large data."""
    rng = np.random.default_rng(13)
    found = compare({"x": rng.normal(size=50_000)}, {"x": rng.normal(0.1, size=50_000)})
    assert found.columns[0].p < 1e-9
    assert found.verdict == "stable"


def test_kilometres_instead_of_miles_are_noticed() -> None:
    """A change of unit is named, inside the range or not; half outside the range is broken."""
    rng = np.random.default_rng(14)
    miles = rng.choice(MILES, size=5_000)
    night = rng.choice(MILES, size=900)
    assert compare({"d": miles}, {"d": night}, effect_floor=0.1).verdict == "stable"
    km = compare({"d": miles}, {"d": night * 1.609})
    assert (km.verdict, km.columns[0].fired) == ("broken", "units")
    assert "looks like km instead of miles" in km.columns[0].reason
    odd = compare({"d": miles}, {"d": night * 7_321})
    assert (odd.verdict, odd.columns[0].fired) == ("broken", "range")
    assert "above 2,586" in odd.columns[0].reason
    fractions = compare({"d": miles}, {"d": night / 7e4})
    assert "below 184" in fractions.columns[0].reason


@pytest.mark.parametrize("size", [1, 5, 100, 250])
def test_a_tiny_batch_is_insufficient_and_says_what_it_could_have_seen(size: int) -> None:
    """A batch too small to show the floor's effect is never a pass."""
    rng = np.random.default_rng(size)
    found = compare({"x": rng.normal(size=5_000)}, {"x": rng.normal(size=size)})
    assert found.verdict == "insufficient_data"
    assert found.columns[0].fired == "power"
    assert found.columns[0].smallest_effect > 0.1
    assert "the smallest it could show" in found.columns[0].reason


def test_an_effect_that_the_batch_can_show_is_judged() -> None:
    """A larger `smallest_effect` asks less of the batch."""
    rng = np.random.default_rng(15)
    data = {"x": rng.normal(size=5_000)}, {"x": rng.normal(size=250)}
    assert compare(*data, effect_floor=0.1).verdict == "insufficient_data"
    assert compare(*data, smallest_effect=0.2).verdict == "stable"


def test_an_empty_batch_is_insufficient() -> None:
    """Nothing came, so nothing is judged."""
    found = compare({"x": [1.0, 2.0]}, {"x": pa.array([], pa.float64())})
    assert found.verdict == "insufficient_data"
    assert "empty" in found.sentence


@pytest.mark.parametrize(
    ("current", "reason"),
    [
        ({"y": [1.0]}, "missing"),
        ({"x": [1.0], "y": [1.0], "z": [1]}, "new"),
        ({"x": ["1"], "y": [1.0]}, "from number to category"),
        ({"x": [dt.date(2013, 1, 1)], "y": [1.0]}, "from number to date"),
    ],
    ids=["missing", "new", "text", "date"],
)
def test_another_schema_is_broken_at_any_size(current: dict[str, Any], reason: str) -> None:
    """A column that is missing, new or of another type breaks the batch, even one row."""
    found = compare({"x": [1.0, 2.0], "y": [1.0, 2.0]}, current)
    assert found.verdict == "broken"
    assert found.columns[0].fired == "schema"
    assert reason in found.columns[0].reason


def test_integers_and_floats_are_one_type() -> None:
    """A column of integers that got nulls, hence floats, on its way is no schema break."""
    values = np.arange(1_000) % 50
    found = compare({"x": values}, {"x": values.astype(float)}, effect_floor=0.1)
    assert found.verdict == "stable"


def test_a_jump_of_missing_rows_is_broken() -> None:
    """A share of missing rows that moved by the floor or more breaks the column; a wobble not."""
    rng = np.random.default_rng(16)

    def column(share: float, size: int = 2_000) -> pa.Array:
        return pa.array(rng.normal(size=size), mask=rng.random(size) < share)

    jumped = compare({"x": column(0.02)}, {"x": column(0.35)})
    assert (jumped.verdict, jumped.columns[0].fired) == ("broken", "missing")
    filled = compare({"x": column(0.35)}, {"x": column(0)})
    assert filled.columns[0].fired == "missing"
    assert compare({"x": column(0.02)}, {"x": column(0.04)}, effect_floor=0.1).verdict == "stable"
    nothing = compare({"x": column(0.02)}, {"x": pa.nulls(2_000)})
    assert (nothing.verdict, nothing.columns[0].current_missing) == ("broken", 1.0)


def test_a_column_without_values_on_both_sides_is_stable() -> None:
    """A column that never had a value does not keep the batch from passing."""
    rng = np.random.default_rng(17)
    found = compare(
        {"x": rng.normal(size=2_000), "n": pa.nulls(2_000, pa.float64())},
        {"x": rng.normal(size=2_000), "n": pa.nulls(2_000, pa.float64())},
        effect_floor=0.1,
    )
    assert found.verdict == "stable"


def test_a_constant_column_is_stable() -> None:
    """A column with one value or one category on both sides is compared like any other."""
    found = compare(
        {"x": [7] * 2_000, "c": ["a"] * 2_000},
        {"x": [7] * 2_000, "c": ["a"] * 2_000},
        smallest_effect=0.1,
    )
    assert found.verdict == "stable"


def test_a_renamed_category_drifts_and_is_shown() -> None:
    """The three bins that moved most carry the category and both shares."""
    rng = np.random.default_rng(18)
    carriers = rng.choice(["UA", "B6", "DL", "AA"], size=20_000)
    night = rng.choice(["UA", "B6", "DL", "AA"], size=900)
    found = compare({"c": carriers}, {"c": np.where(night == "UA", "United", night)})
    assert found.verdict == "drifted"
    moved = found.columns[0].moved
    assert {moved[0].category, moved[1].category} == {"UA", "United"}
    assert len(moved) == 3
    lost = next(piece for piece in moved if piece.category == "UA")
    assert (lost.reference, lost.current) == (pytest.approx(0.25, abs=0.02), 0.0)


@pytest.mark.parametrize("size", [4_000, 30_000])
def test_identifiers_are_not_judged(size: int) -> None:
    """Fresh identifiers are no drift: too rare to compare, counted by name or not."""
    rng = np.random.default_rng(size)
    reference = {"id": rng.integers(10**8, 10**9, size).astype(str)}
    found = compare(reference, {"id": rng.integers(10**8, 10**9, 2_000).astype(str)})
    assert found.verdict == "insufficient_data"
    assert "too rare" in found.columns[0].reason


def test_the_range_that_moved_is_named() -> None:
    """A numeric column names the ranges that lost and gained, as edges and as people read them."""
    values = np.repeat(np.arange(10), 300)
    found = compare({"x": values}, {"x": np.where(values == 3, 8, values)})
    moved = found.columns[0].moved
    assert {piece.label for piece in moved} == {"3", "8"}
    assert moved[0].low is not None
    assert moved[0].low < moved[0].high


def test_importance_ranks_within_a_verdict() -> None:
    """Columns are ranked by verdict first, then by effect times importance."""
    rng = np.random.default_rng(19)
    old = {name: rng.normal(size=3_000) for name in "abc"}
    new = {"a": rng.normal(0.5, size=3_000), "b": rng.normal(1.0, size=3_000), "c": old["c"]}
    assert [c.name for c in compare(old, new).columns] == ["b", "a", "c"]
    weighted = compare(old, new, importance={"a": 10.0})
    assert [(c.name, c.rank) for c in weighted.columns] == [("a", 1), ("b", 2), ("c", 3)]


def test_infinities_take_part() -> None:
    """Values that became infinite move the distribution; they are not dropped."""
    rng = np.random.default_rng(20)
    values = rng.normal(size=3_000)
    found = compare({"x": values}, {"x": np.where(rng.random(3_000) < 0.2, np.inf, values)})
    assert found.columns[0].effect == pytest.approx(0.2, abs=0.03)


def test_the_adjustment_is_benjamini_and_hochbergs() -> None:
    """The adjusted p-values are those of the published step-up procedure."""
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert benjamini_hochberg([]) == []


def test_a_decision_is_plain_data() -> None:
    """A decision survives JSON, and is not calibrated before there is a history."""
    rng = np.random.default_rng(21)
    found = compare(batch(rng, 2_000), batch(rng, 2_000))
    assert Decision.model_validate_json(found.model_dump_json()) == found
    assert found.calibrated is False


def test_profiles_on_other_edges_are_refused() -> None:
    """Two profiles that were built apart cannot be compared, and the hint says what to do."""
    with pytest.raises(InvalidData, match="'x'") as caught:
        decide(profile({"x": [1.0, 2.0]}), profile({"x": [1.0, 3.0]}))
    assert "edges_from" in caught.value.hint


@pytest.mark.parametrize(
    "options", [{"q": 0}, {"q": 1.5}, {"effect_floor": -0.1}, {"power": 1}, {"power": 0.2}]
)
def test_parameters_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """A nonsensical threshold is named before anything is compared."""
    one = profile({"x": [1.0]})
    with pytest.raises(InvalidStep, match=next(iter(options))):
        decide(one, one, **options)
