from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backbeat.drift import Profile, build_profile
from backbeat.errors import ContractBroken, InvalidStep


def profile(rows: dict[str, Any], /, **options: Any) -> Profile:
    return build_profile(pa.table(rows), **options)


def values(found: Profile, name: str) -> tuple[Any, ...]:
    """Smallest, largest and mean value, and the rows without one."""
    column = found.columns[name]
    return column.minimum, column.maximum, column.mean, column.missing


def test_structs_are_flattened() -> None:
    """Every field of a struct is a column of its own; a null struct has null fields."""
    found = profile(
        {
            "address": [
                {"city": "Oslo", "at": {"lat": 59.9}},
                {"city": None, "at": {"lat": 10.0}},
                None,
            ]
        }
    )
    assert list(found.columns) == ["address.city", "address.at.lat"]
    assert (found.columns["address.city"].counts, found.columns["address.city"].nulls) == (
        {"Oslo": 1},
        2,
    )
    assert values(found, "address.at.lat") == (10.0, 59.9, pytest.approx(34.95), 1)
    one = profile({"a": [{"b": 1, "c": 2}]}, columns=["a.c"])
    assert list(one.columns) == ["a.c"]
    with pytest.raises(ContractBroken, match=r"'a\.b' appears more than once"):
        build_profile(pa.table({"a": [{"b": 1}], "a.b": [1]}))


def test_lists_are_counted_by_their_length() -> None:
    """A list has no order to compare, its length has; a null list has none."""
    found = profile({"tags": [["a"], [], None, ["a", "b"]]})
    assert list(found.columns) == ["tags:length"]
    assert found.columns["tags:length"].counts == (0, 1, 1, 1, 0)
    assert values(found, "tags:length") == (0.0, 2.0, 1.0, 1)


def test_text_has_features_that_need_no_language() -> None:
    """Lengths are in characters, shares of the characters; any script counts alike."""
    found = profile(
        {"review": ["Ab, 12", "ДА нет", "", "  ", None, "日本"]}, kinds={"review": "text"}
    )
    assert "review" not in found.columns
    rows = {name: values(found, f"review:{name}") for name in ("length", "words")}
    assert rows == {"length": (0.0, 6.0, 16 / 5, 1), "words": (0.0, 2.0, 1.0, 1)}
    assert values(found, "review:word_length") == pytest.approx((2.0, 2.5, 7 / 3, 3))
    assert values(found, "review:digits") == pytest.approx((0, 2 / 6, 1 / 12, 2))
    assert values(found, "review:upper") == pytest.approx((0, 2 / 6, (1 / 6 + 2 / 6) / 4, 2))
    assert values(found, "review:punctuation") == pytest.approx((0, 1 / 6, 1 / 24, 2))
    assert values(found, "review:non_ascii") == pytest.approx((0, 1.0, (5 / 6 + 1) / 4, 2))
    tokens = found.columns["review:token"]
    assert (tokens.present, tokens.nulls) == (3, 3)
    assert set(tokens.counts) <= {f"{bucket:02d}" for bucket in range(64)}


def test_a_changed_vocabulary_moves_the_tokens() -> None:
    """Texts of the same lengths but other words fall into other buckets, shuffled ones do not."""
    rng = np.random.default_rng(0)

    def texts(words: list[str]) -> list[str]:
        return [" ".join(rng.choice(words, 5)) for _ in range(4_000)]

    mine = [f"w{n:02d}" for n in range(40)]
    reference = profile({"t": texts(mine)}, kinds={"t": "text"})
    same = profile({"t": texts(mine[::-1])}, edges_from=reference)
    other = profile({"t": texts([f"v{n:02d}" for n in range(40)])}, edges_from=reference)

    def apart(found: Profile) -> float:
        one, two = (p.columns["t:token"].counts for p in (reference, found))
        return sum(abs(one.get(k, 0) - two.get(k, 0)) for k in one | two) / 8_000

    assert apart(same) < 0.1
    assert apart(other) > 0.5
    assert reference.columns["t:length"].counts == other.columns["t:length"].counts


def test_tokens_are_the_same_for_ever() -> None:
    """The drawn bucket of a text is frozen: files of years ago stay comparable."""
    found = profile({"t": ["the quick brown fox", "δρόμος", "a b c"]}, kinds={"t": "text"})
    assert found.columns["t:token"].counts == TOKENS


TOKENS = {"04": 1, "46": 1, "60": 1}


def test_vectors_have_a_norm_and_a_direction() -> None:
    """A longer vector moves only the norm, a turned one only the axes; no vector is null."""
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(5_000, 32)).astype(np.float32)

    def build(rows: Any, **options: Any) -> Profile:
        array = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
        return profile({"v": array}, **options)

    reference = build(raw)
    assert list(reference.columns) == ["v:norm", *(f"v:axis{n}" for n in range(1, 9))]
    norms = np.linalg.norm(raw.astype(float), axis=1)
    assert values(reference, "v:norm")[:3] == pytest.approx(
        (norms.min(), norms.max(), norms.mean())
    )
    assert reference.columns["v:axis1"].deviation == pytest.approx(1, rel=0.05)
    longer = build(raw * np.float32(2), edges_from=reference)
    assert longer.columns["v:axis3"].counts == reference.columns["v:axis3"].counts
    assert longer.columns["v:norm"].counts != reference.columns["v:norm"].counts
    turned = build(np.roll(raw, 5, axis=1) + np.float32(1), edges_from=reference)
    assert turned.columns["v:axis3"].counts != reference.columns["v:axis3"].counts
    with pytest.raises(ContractBroken, match="'v' has 31 dimensions where the profile's have 32"):
        build(raw[:, :31], edges_from=reference)


def test_lists_of_floats_can_be_vectors() -> None:
    """`kinds` makes vectors of lists whose type does not say the dimension; it is then held."""
    rows = [None, [3.0, 4.0], [0.0, 0.0], [float("nan"), 1.0]]
    found = profile({"v": rows}, kinds={"v": "embedding"})
    norm, axis = found.columns["v:norm"], found.columns["v:axis1"]
    assert (norm.maximum, norm.nulls, norm.nans) == (5.0, 1, 1)
    # a vector of zeros has no direction
    assert (axis.finite, axis.nulls, axis.nans) == (1, 2, 1)
    assert found.derivations[0].dimension == 2
    with pytest.raises(ContractBroken, match="'v' has 3 dimensions"):
        profile({"v": [[1.0, 2.0], [1.0, 2.0, 3.0]]}, kinds={"v": "embedding"})
    with pytest.raises(ContractBroken, match="'v' has 3 dimensions"):
        profile({"v": [[1.0, 2.0, 3.0]]}, edges_from=found)
    empty = profile({"v": pa.array([None, None], pa.list_(pa.float64()))}, kinds={"v": "embedding"})
    assert empty.columns["v:norm"].nulls == 2


def test_columns_are_read_as_they_are_meant() -> None:
    """Codes that are numbers become categories, numbers in strings become numbers."""
    found = profile(
        {"zip": [1010, 1020, 1010], "price": ["1.5", " +2e1 ", "n/a"]},
        kinds={"zip": "category", "price": "number"},
    )
    assert found.columns["zip"].counts == {"1010": 2, "1020": 1}
    price = found.columns["price"]
    assert (price.minimum, price.maximum, price.nans) == (1.5, 20.0, 1)
    later = profile({"zip": [7], "price": ["2.5"]}, edges_from=found)
    assert later.columns["zip"].counts == {"7": 1}
    assert found.merge(later).rows == 4
    with pytest.raises(InvalidStep, match="'zip' is read as number, the reference"):
        profile({"zip": [7], "price": ["1"]}, edges_from=found, kinds={"zip": "number"})
    with pytest.raises(ContractBroken, match="'x' is of type int64, which is not read as text"):
        profile({"x": [1]}, kinds={"x": "text"})
    with pytest.raises(ContractBroken, match="'y' is missing"):
        profile({"x": [1]}, kinds={"y": "text"})


def test_units_and_zones_are_no_drift() -> None:
    """Decimals, durations and points in time count alike whatever unit or zone they come in."""
    noon = dt.datetime(2013, 3, 1, 12, tzinfo=dt.UTC)
    later = noon + dt.timedelta(hours=5)

    def build(unit: str, zone: str, digits: int, **options: Any) -> Profile:
        price = pa.array([Decimal("1.10"), Decimal("2.20")], pa.decimal128(12, digits))
        return profile(
            {
                "at": pa.array([noon, later], pa.timestamp(unit, zone)),
                "took": pa.array([dt.timedelta(seconds=2)] * 2, pa.duration(unit)),
                "price": price,
            },
            **options,
        )

    reference = build("us", "UTC", 2)
    other = build("ns", "America/New_York", 4, edges_from=reference)
    assert other.columns == reference.columns


def test_a_lost_time_zone_is_named_as_a_change_of_type() -> None:
    """Naive timestamps are not the zoned ones of the reference, nor the other way round."""
    naive, zoned = (pa.array([0, 1], pa.timestamp("s", zone)) for zone in (None, "UTC"))
    for one, two, said in (
        (zoned, naive, "naive timestamp"),
        (naive, zoned, "zoned timestamp"),
    ):
        reference = profile({"at": one})
        assert reference.columns["at"].family == "timestamp"
        later = profile({"at": two}, edges_from=reference)
        assert later.columns["at"].family == said
        assert later.columns["at"].counts == reference.columns["at"].counts


def flights(size: int, seed: int, faster: float = 1.0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    miles = rng.choice([200.0, 750.0, 1400.0, 2500.0], size)
    carrier = rng.choice(["UA", "AA"], size)
    minutes = (20 + miles * 0.12 + 6 * (carrier == "AA") + rng.normal(size=size) * 4) * faster
    return {"air_time": minutes, "distance": miles, "carrier": carrier}


def test_a_residual_is_what_the_others_do_not_explain() -> None:
    """Its spread is the noise alone, so that a few percent show which the column itself hides."""
    given = {"air_time": ["distance", "carrier"]}
    reference = profile(flights(20_000, 0), given=given)
    name = "air_time given distance, carrier"
    column = reference.columns[name]
    assert column.deviation == pytest.approx(4, rel=0.05)
    assert column.counts[0] == column.counts[-1] == 0
    later = profile(flights(5_000, 1, faster=1.05), edges_from=reference)
    assert later.edges_digest == reference.edges_digest
    gap = {each: _largest_gap(reference, later, each) for each in (name, "air_time")}
    assert gap[name] > 0.5
    assert gap["air_time"] < 0.25
    alike = profile(flights(5_000, 2), edges_from=reference)
    assert _largest_gap(reference, alike, name) < 0.04
    assert reference.merge(alike).rows == 25_000


def _largest_gap(reference: Profile, later: Profile, name: str) -> float:
    shares = [
        np.cumsum(found.columns[name].counts) / found.columns[name].finite
        for found in (reference, later)
    ]
    return float(np.abs(shares[0] - shares[1]).max())


def test_a_residual_needs_every_part() -> None:
    """Where the column or what explains it is null there is no residual; NaN stays NaN."""
    found = profile(
        {"y": [1.0, None, 3.0, float("nan"), 5.0], "x": [1.0, 1.0, None, 1.0, 1.0]},
        given={"y": ["x"]},
    ).columns["y given x"]
    assert (found.finite, found.nulls, found.nans) == (2, 2, 1)


def test_a_new_category_is_expected_like_the_others() -> None:
    """A category that the reference did not have gets the fallback, not an error."""
    rows = {"y": [1.0] * 50 + [3.0] * 51, "c": ["a"] * 50 + ["b"] * 51}
    reference = profile(rows, given={"y": ["c"]})
    later = profile({"y": [3.0], "c": ["new"]}, edges_from=reference)
    assert later.columns["y given c"].minimum == 0.0


def test_parts_that_are_gone_or_wrong() -> None:
    """With a reference a residual goes as its parts go; without one a wrong part is refused."""
    reference = profile({"y": [1.0, 2.0], "x": [1.0, 2.0]}, given={"y": ["x"]})
    later = profile({"y": [1.0]}, columns=list(reference.columns), edges_from=reference)
    assert list(later.columns) == ["y"]
    turned = profile({"y": [1.0], "x": ["a"]}, edges_from=reference)
    assert list(turned.columns) == ["y", "x"]
    with pytest.raises(ContractBroken, match="'x' is missing"):
        profile({"y": [1.0]}, given={"y": ["x"]})
    with pytest.raises(ContractBroken, match="'c' is not a number"):
        profile({"y": [1.0], "c": ["a"]}, given={"c": ["y"]})
    with pytest.raises(InvalidStep, match="itself"):
        profile({"y": [1.0]}, given={"y": ["y"]})


def test_derived_columns_are_chosen_by_their_names() -> None:
    """`columns` takes a derived column, all of one source, or what the reference has."""
    rows = {"t": ["a b"], "x": [1.0], "s": [{"a": 1, "b": 2}]}
    kinds: Any = {"t": "text"}
    found = profile(rows, kinds=kinds, columns=["t:words", "s"])
    assert list(found.columns) == ["t:words", "s.a", "s.b"]
    whole = profile(rows, kinds=kinds)
    again = profile(rows, columns=list(whole.columns), edges_from=whole)
    assert again.columns == whole.columns
    with pytest.raises(ContractBroken, match="'t:wrods' is missing") as caught:
        profile(rows, kinds=kinds, columns=["t:wrods"])
    assert caught.value.hint
