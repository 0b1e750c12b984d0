from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbeat.drift import Profile, build_profile
from backbeat.drift.profile import CategoricalColumn
from backbeat.errors import InvalidData

FLOATS = st.one_of(
    st.none(),
    st.just(float("nan")),
    st.just(float("inf")),
    st.just(float("-inf")),
    st.floats(-1e6, 1e6),
)
ROWS = st.lists(
    st.tuples(
        FLOATS,
        st.sampled_from(["a", "b", "ü", '"', None]),
        st.sampled_from(["two words", "ONE", "", "12 ¿¡3!", None]),
    ),
    max_size=30,
)
EVERYTHING: dict[str, Any] = {"kinds": {"t": "text"}, "given": {"x": ["c"]}, "by": ["c"]}


def table(rows: list[Any]) -> pa.Table:
    return pa.table(
        {
            "x": pa.array([row[0] for row in rows], pa.float64()),
            "c": pa.array([row[1] for row in rows], pa.string()),
            "t": pa.array([row[2] for row in rows], pa.string()),
        }
    )


def without_moments(found: Profile) -> Any:
    """Everything of a profile but its floating-point moments."""

    def strip(content: Any) -> Any:
        for column in content["columns"].values():
            column.pop("mean", None)
            column.pop("m2", None)
        for segment in content.get("segments", {}).values():
            strip(segment)
        return content

    return strip(json.loads(found.to_bytes()))


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, ROWS)
def test_merging_is_commutative_and_associative(one: Any, two: Any, three: Any) -> None:
    """Parts may be merged in any order and grouping, derived columns and segments with them."""
    edges = build_profile(table([*one, (0.0, "a", "b c")]), **EVERYTHING)
    a, b, c = (build_profile(table(rows), edges_from=edges) for rows in (one, two, three))
    assert a.merge(b).to_bytes() == b.merge(a).to_bytes()
    left, right = a.merge(b).merge(c), a.merge(b.merge(c))
    assert without_moments(left) == without_moments(right)
    whole = build_profile(table([*one, *two, *three]), edges_from=edges)
    assert without_moments(left) == without_moments(whole)
    for name in ("x", "t:length", "x given c"):
        found = [each.columns[name] for each in (left, right, whole)]
        assert len({column.mean is None for column in found}) == 1
        if found[2].mean is not None:
            assert found[0].mean == pytest.approx(found[2].mean, rel=1e-9, abs=1e-6)
            assert found[1].m2 == pytest.approx(found[2].m2, rel=1e-9, abs=1e-3)


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), max_size=6),
        min_size=3,
        max_size=3,
    ),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_merging_frozen_and_complete_categories_is_associative(
    counts: Any, folded: list[bool]
) -> None:
    """Columns counted by name and columns on a frozen list merge to the same in every order."""
    columns = [CategoricalColumn(counts=each) for each in counts]
    a, b, c = (
        column.folded(frozenset("ab")) if fold else column
        for column, fold in zip(columns, folded, strict=True)
    )
    assert a.merge(b, name="c") == b.merge(a, name="c")
    left = a.merge(b, name="c").merge(c, name="c")
    assert left == a.merge(b.merge(c, name="c"), name="c")
    assert left.present == sum(sum(each.values()) for each in counts)
    assert left.distinct_values == len(set().union(*counts))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([None, "m/1", "m/2"]), min_size=3, max_size=3))
def test_what_only_one_side_says_is_left_out_in_any_order(models: list[Any]) -> None:
    """The merged model and partition are those of all sides, or none."""
    edges = build_profile(table([(1.0, "a", "")]))
    a, b, c = (
        edges.model_copy(update={"model": model, "partition": model or ""}) for model in models
    )
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(b).merge(c).model == (models[0] if len(set(models)) == 1 else None)


def test_an_old_profile_merges_with_a_new_one() -> None:
    """A profile of version 1 takes new batches counted on its edges; their segments stay out."""
    rows = [(float(n), "ab"[n % 2], None) for n in range(20)]
    content = json.loads(build_profile(table(rows), columns=["x", "c"]).to_bytes())
    kept = {"format", "rows", "columns"}
    old = {name: value for name, value in content.items() if name in kept} | {"version": 1}
    reference = Profile.from_bytes(json.dumps(old).encode())
    options: dict[str, Any] = {"columns": ["x", "c"], "edges_from": reference}
    later = build_profile(table(rows[:5]), **options)
    cut = build_profile(table(rows[:5]), by=["c"], model="m/1", **options)
    assert later.edges_digest == reference.edges_digest
    assert reference.merge(later).to_bytes() == later.merge(reference).to_bytes()
    assert reference.merge(cut) == cut.merge(reference)
    assert (reference.merge(cut).rows, reference.merge(cut).segments) == (25, {})


def test_other_edges_columns_or_derivations_are_refused() -> None:
    """Profiles that were counted differently do not merge; the hint says how they would."""

    def build(columns: dict[str, Any], **options: Any) -> Profile:
        return build_profile(pa.table(columns), **options)

    one, two = build({"x": [1.0, 2.0]}), build({"x": [1.0, 3.0]})
    with pytest.raises(InvalidData, match="other edges") as caught:
        one.merge(two)
    assert "edges_from" in caught.value.hint
    with pytest.raises(InvalidData, match="'y'"):
        one.merge(build({"x": [1.0, 2.0], "y": [1, 2]}))
    with pytest.raises(InvalidData, match="numeric on one side"):
        one.merge(build({"x": ["a", "b"]}))
    low, high = ({"x": [base, base + 1], "c": ["a", "a"]} for base in (0.0, 100.0))
    explained = [build(rows, given={"x": ["c"]}, bins=1) for rows in (low, high)]
    with pytest.raises(InvalidData, match="different ways"):
        explained[0].merge(explained[1])
    with pytest.raises(InvalidData, match="other segments"):
        build({"c": ["a"]}, by=["c"]).merge(build({"c": ["b"]}, by=["c"]))
    naive, zoned = (pa.array([0, 1], pa.timestamp("s", zone)) for zone in (None, "UTC"))
    with pytest.raises(InvalidData, match="another type"):
        build({"x": naive}).merge(build({"x": zoned}))
