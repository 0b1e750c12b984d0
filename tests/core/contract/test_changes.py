from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbeat.contract import Column, DataContract, check, compare
from backbeat.errors import InvalidData

Build = Callable[..., DataContract]
NAMES = ("a", "b", "c")


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    """A column of one of three types with any of the rules that fit it."""
    kind = draw(st.sampled_from(["int64", "string", "float64"]))
    values: st.SearchStrategy[Any] = (
        st.integers(-2, 2) if kind != "string" else st.sampled_from("xyz")
    )
    bounds = sorted(draw(st.lists(st.integers(-2, 2), min_size=2, max_size=2)))
    bounded = kind != "string"
    return Column(
        name=name,
        type=kind,
        nullable=draw(st.booleans()),
        unit=draw(st.sampled_from([None, None, "kg", "lb"])),
        minimum=bounds[0] if bounded and draw(st.booleans()) else None,
        maximum=bounds[1] if bounded and draw(st.booleans()) else None,
        among=draw(st.none() | st.lists(values, min_size=1, max_size=3).map(tuple)),
        unique=draw(st.booleans()),
    )


@st.composite
def contracts(draw: st.DrawFn, *, name: str = "data") -> DataContract:
    """A contract about up to three columns."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    made = tuple(draw(columns(name)) for name in names)
    able = [column.name for column in made if not column.nullable]
    low = draw(st.integers(0, 3))
    return DataContract(
        name=name,
        version=draw(st.sampled_from(["1.0.0", "1.1.0", "2.0.0"])),
        columns=made,
        key=tuple(draw(st.lists(st.sampled_from(able), unique=True))) if able else (),
        rows=draw(st.none() | st.just({"minimum": low, "maximum": low + draw(st.integers(0, 2))})),
    )


@st.composite
def near(draw: st.DrawFn) -> tuple[DataContract, DataContract]:
    """Two contracts that mostly agree, so that not every pair is a breaking one."""
    old = draw(contracts())
    kept = {column.name: column for column in old.columns}
    changed = draw(st.sampled_from(sorted(kept)))
    kind = kept[changed].type
    kept[changed] = draw(columns(changed).filter(lambda column: column.type == kind))
    able = [column.name for column in kept.values() if not column.nullable]
    key = tuple(draw(st.lists(st.sampled_from(able), unique=True))) if able else ()
    fields = {"columns": tuple(kept.values()), "key": key, "rows": draw(contracts()).rows}
    return old, DataContract(name=old.name, version=old.version, **fields)


@st.composite
def tables(draw: st.DrawFn, contract: DataContract) -> pa.Table:
    """A few rows of values that keep the columns' own rules; they may repeat."""
    rows = draw(st.integers(0, 4))
    made = {}
    for column in contract.columns:
        able: list[Any] = list("wxyz") if column.type == "string" else list(range(-3, 4))
        kept = [value for value in able if _keeps(column, value)]
        values = [*kept, None] if column.nullable or not kept else kept
        cells = draw(st.lists(st.sampled_from(values), min_size=rows, max_size=rows))
        kinds = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
        made[column.name] = pa.array(cells, kinds[column.type])
    return pa.table(made)


def _keeps(column: Column, value: Any) -> bool:
    above = column.minimum is None or value >= column.minimum
    below = column.maximum is None or value <= column.maximum
    return above and below and (column.among is None or value in column.among)


@given(contracts())
def test_nothing_has_changed_from_itself(contract: DataContract) -> None:
    """The same contract, however it is laid out, is no change."""
    assert compare(contract, contract.to_json()).level == "none"
    assert compare(contract, contract).differences == ()
    turned = contract.model_copy(update={"columns": contract.columns[::-1]})
    assert compare(contract, turned).level == "none"


@given(contracts(), columns("new"))
def test_another_column_is_additive(contract: DataContract, column: Column) -> None:
    """A column more disturbs nobody; the way back takes it from whoever uses it."""
    longer = contract.model_copy(update={"columns": (*contract.columns, column)})
    assert compare(contract, longer).level == "additive"
    assert compare(longer, contract).level == "breaking"


@given(contracts(), contracts())
def test_the_whole_is_as_bad_as_its_worst_difference(old: DataContract, new: DataContract) -> None:
    """Breaking where any difference is breaking, and none only where there is none."""
    change = compare(old, new)
    levels = {item.level for item in change.differences}
    assert (change.level == "breaking") == ("breaking" in levels)
    assert (change.level == "none") == (not levels)


@settings(max_examples=200)
@given(near(), st.data())
def test_what_keeps_a_contract_that_breaks_nobody_keeps_the_old_one(
    pair: tuple[DataContract, DataContract], data: st.DataObject
) -> None:
    """A change is called breaking wherever data could surprise a reader of the old contract."""
    old, new = pair if compare(*pair).level != "breaking" else pair[::-1]
    table = data.draw(tables(new))
    surprised = check(new, table).ok and not check(old, table).ok
    assert not surprised or compare(old, new).level == "breaking"


@given(contracts(), contracts())
def test_one_way_breaks_where_the_other_only_adds(old: DataContract, new: DataContract) -> None:
    """Two contracts that promise different things cannot be additive in both directions."""
    there, back = compare(old, new).level, compare(new, old).level
    assert {there, back} != {"additive"} or any(
        item.words.startswith("unit") for item in compare(old, new).differences
    )


@pytest.mark.parametrize(
    ("column", "change", "level"),
    [
        ("parcel_id", {"type": "int32"}, "breaking"),
        ("weight", {"unit": "lb"}, "breaking"),
        ("weight", {"unit": None}, "breaking"),
        ("depot", {"unit": "town"}, "additive"),
        ("weight", {"nullable": False}, "additive"),
        ("weight", {"minimum": -1}, "breaking"),
        ("weight", {"minimum": None}, "breaking"),
        ("weight", {"minimum": 1}, "additive"),
        ("weight", {"maximum": 41}, "breaking"),
        ("weight", {"maximum": 39.5}, "additive"),
        ("depot", {"among": ["north", "south", "west"]}, "breaking"),
        ("depot", {"among": ["north", "west"]}, "breaking"),
        ("depot", {"among": None}, "breaking"),
        ("depot", {"among": ["south"]}, "additive"),
        ("parcel_id", {"unique": False}, "breaking"),
        ("depot", {"unique": True}, "additive"),
    ],
)
def test_a_reader_of_a_column(
    contract: Build, column: str, change: dict[str, Any], level: str
) -> None:
    """What is withdrawn, loosened or means something else breaks; what is stricter does not."""
    found = compare(contract(), contract(columns={column: change}))
    assert found.level == level
    assert {item.where for item in found.differences} == {column}


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({"rows": None}, "breaking"),
        ({"rows": {"minimum": 2}}, "additive"),
        ({"rows": {"minimum": 1, "maximum": 9}}, "additive"),
        ({"key": []}, "breaking"),
        ({"name": "packages"}, "none"),
    ],
)
def test_a_reader_of_the_table(contract: Build, change: dict[str, Any], level: str) -> None:
    """Counts of rows and the key are promises, too; the contract's name is none."""
    found = compare(contract(), contract(**change))
    assert found.level == level
    assert found.differences


def test_a_key_of_fewer_columns_is_stricter(contract: Build) -> None:
    """What one column tells apart, two do; not the other way round."""
    both = contract(columns={"depot": {"nullable": False}}, key=["parcel_id", "depot"])
    one = contract(columns={"depot": {"nullable": False}})
    assert compare(both, one).level == "additive"
    assert compare(one, both).level == "breaking"


@pytest.mark.parametrize(
    ("maximum", "version", "problem"),
    [
        (41, "2.0.0", None),
        (41, "1.3.0", "at least 2.0.0"),
        (39, "1.3.0", None),
        (39, "2.0.0", None),
        (39, "1.2.1", "at least 1.3.0"),
        (40, "1.2.0", None),
        (40, "1.2.1", None),
        (40, "1.1.9", "goes back"),
        (39, "0.9.0", "goes back"),
    ],
)
def test_the_version_says_what_the_change_is(
    contract: Build, maximum: int, version: str, problem: str | None
) -> None:
    """A breaking change raises the first number, an additive one the second; else it is said."""
    found = compare(contract(), contract(version=version, columns={"weight": {"maximum": maximum}}))
    assert problem in (found.version_problem or "") if problem else found.version_problem is None


@given(contracts(), contracts())
def test_too_small_a_version_is_always_said(old: DataContract, new: DataContract) -> None:
    """No level comes with a version that promises less of a change, unless it is said."""
    change = compare(old, new)
    step = [a != b for a, b in zip(old.numbers, new.numbers, strict=True)]
    told = "breaking" if step[0] else "additive" if step[1] else "none"
    order = ["none", "additive", "breaking"]
    lies = order.index(told) < order.index(change.level) or new.numbers < old.numbers
    assert (change.version_problem is not None) == lies


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ({}, {"columns": []}, "the old document is neither"),
        ({"properties": {}}, {"kind": "drift.check/v1"}, "the new document is neither"),
        ({"columns": []}, {"columns": []}, "the old document is no data contract"),
        ({"properties": ["a"]}, {"properties": {"a": {}}}, "no sound JSON Schema"),
        ({"properties": {"a": 3}}, {"properties": {"a": {}}}, "no sound JSON Schema"),
        ({"$ref": "#/$defs/A", "$defs": {}}, {"properties": {}}, "leads nowhere"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, {"$defs": {}}, "nowhere"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    old: dict[str, Any], new: dict[str, Any], says: str
) -> None:
    """Documents of no known sort are named, with what to give instead."""
    with pytest.raises(InvalidData, match=says) as caught:
        compare(old, new)
    assert caught.value.hint


def test_a_contract_is_not_compared_with_a_schema(contract: Build) -> None:
    """Two sorts of documents have no common version."""
    with pytest.raises(InvalidData, match="the other a JSON Schema"):
        compare(contract(), DataContract.model_json_schema())
