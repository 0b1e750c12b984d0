from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbeat.drift import Profile, build_profile
from backbeat.drift.profile import NumericColumn
from backbeat.errors import ContractBroken, InvalidData

FLOATS = st.one_of(
    st.none(),
    st.just(float("nan")),
    st.just(float("inf")),
    st.just(float("-inf")),
    st.floats(-1e6, 1e6),
)
ROWS = st.lists(st.tuples(FLOATS, st.sampled_from(["a", "b", "ü", '"', None])), max_size=30)


def profile(table: dict[str, Any], **options: Any) -> Profile:
    return build_profile(ds.dataset(pa.table(table)), **options)


def from_rows(rows: list[Any], **options: Any) -> Profile:
    return profile(
        {
            "x": pa.array([row[0] for row in rows], pa.float64()),
            "c": pa.array([row[1] for row in rows], pa.string()),
        },
        **options,
    )


def messy(size: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=size)
    values[rng.random(size) < 0.02] = np.nan
    values[rng.random(size) < 0.01] = np.inf
    values[rng.random(size) < 0.01] = -np.inf
    return values, rng.random(size) < 0.05


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_bytes_round_trip(rows: list[Any]) -> None:
    """A profile that is written and read back is equal, to the last bit of every edge."""
    found = from_rows(rows)
    assert Profile.from_bytes(found.to_bytes()) == found


@pytest.mark.parametrize("size", [500, 200_000])
def test_counts_are_exact(size: int) -> None:
    """Every count equals numpy's, with nulls, NaN and infinities each counted apart."""
    values, null = messy(size, seed=size)
    found = profile({"x": pa.array(values, mask=null)}).columns["x"]
    present = values[~null]
    finite = present[np.isfinite(present)]
    edges = np.asarray(found.edges)
    expected = np.bincount(np.searchsorted(edges, finite, side="left"), minlength=edges.size + 1)
    assert found.counts == tuple(expected.tolist())
    assert (found.nulls, found.nans) == (null.sum(), np.isnan(present).sum())
    assert found.negative_infinite == np.isneginf(present).sum()
    assert found.positive_infinite == np.isposinf(present).sum()
    assert (found.minimum, found.maximum) == (finite.min(), finite.max())
    assert found.mean == pytest.approx(finite.mean(), abs=1e-12)
    assert found.deviation == pytest.approx(finite.std(ddof=1), rel=1e-12)


def test_the_cut_into_files_row_groups_and_batches_changes_no_byte(tmp_path: Path) -> None:
    """The same rows in the same order give the same bytes, however they were stored."""
    values, null = messy(300_000, seed=4)
    table = pa.table(
        {
            "x": pa.array(values, mask=null),
            "c": pa.array(np.char.add("k", (np.arange(300_000) % 17).astype(str))),
        }
    )
    whole = build_profile(ds.dataset(table)).to_bytes()
    for part, start in enumerate(range(0, 300_000, 70_001)):
        pq.write_table(
            table.slice(start, 70_001), tmp_path / f"part-{part}.parquet", row_group_size=9_999
        )
    assert build_profile(ds.dataset(tmp_path)).to_bytes() == whole
    batches = table.to_batches(max_chunksize=1_234)
    assert build_profile(ds.dataset(pa.Table.from_batches(batches))).to_bytes() == whole


def test_quantile_edges_cut_equal_shares() -> None:
    """With more distinct values than bins, no bin holds more than 1.3 times its share."""
    values = np.random.default_rng(2).lognormal(size=400_000)
    found = profile({"x": values}).columns["x"]
    assert 990 <= len(found.edges) <= 1_002
    assert max(found.counts) <= 400_000 / 1000 * 1.3
    assert found.counts[0] == found.counts[-1] == 0


def test_few_distinct_values_are_all_edges() -> None:
    """A column with few distinct values is counted value by value."""
    values = np.random.default_rng(3).integers(0, 12, 150_000)
    found = profile({"x": values}).columns["x"]
    assert found.edges[1:] == tuple(float(each) for each in range(12))
    assert found.counts == (0, *np.bincount(values).tolist(), 0)


def test_every_scalar_type_has_a_profile() -> None:
    """Numbers, booleans, decimals, dates, times, text and codes are counted; units are undone."""
    noon = dt.datetime(2013, 3, 1, 12, tzinfo=dt.UTC)
    found = profile(
        {
            "int": pa.array([1, 2], pa.int64()),
            "small": pa.array([1, 2], pa.uint8()),
            "half": pa.array(np.array([1.5, 2], dtype=np.float16)),
            "flag": [True, False],
            "price": [Decimal("1.10"), Decimal("2.20")],
            "day": [dt.date(1970, 1, 2), dt.date(1970, 1, 3)],
            "day64": pa.array([dt.date(1970, 1, 2), dt.date(1970, 1, 3)], pa.date64()),
            "micro": pa.array([noon, noon], pa.timestamp("us", tz="UTC")),
            "nano": pa.array([noon, noon], pa.timestamp("ns")),
            "clock": pa.array([1_000, 2_000], pa.time32("ms")),
            "took": pa.array([1_500, 2_500], pa.duration("ms")),
            "text": ["a", "b"],
            "large": pa.array(["a", "b"], pa.large_string()),
            "code": pa.array(["a", "b"]).dictionary_encode(),
            "number_code": pa.array([7, 8]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
    ).columns
    numeric = {name: c for name, c in found.items() if isinstance(c, NumericColumn)}
    assert {name: (c.minimum, c.maximum) for name, c in numeric.items()} == {
        "int": (1.0, 2.0),
        "small": (1.0, 2.0),
        "half": (1.5, 2.0),
        "flag": (0.0, 1.0),
        "price": (1.1, 2.2),
        "day": (1.0, 2.0),
        "day64": (1.0, 2.0),
        "micro": (noon.timestamp(), noon.timestamp()),
        "nano": (noon.timestamp(), noon.timestamp()),
        "clock": (1.0, 2.0),
        "took": (1.5, 2.5),
    }
    assert found["code"].counts == found["large"].counts == found["text"].counts == {"a": 1, "b": 1}
    assert found["number_code"].counts == {"7": 1, "8": 1}
    assert found["nothing"].nulls == 2


@pytest.mark.parametrize(
    "values",
    [
        pa.array([b"x", b"y"]),
        pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
        pa.array([{"a": b"x"}, {"a": b"y"}]),
    ],
    ids=["bin", "map", "binary in a struct"],
)
def test_a_column_without_a_distribution_is_refused_by_name(values: Any) -> None:
    """A type without a distribution is refused, naming the column and what to do."""
    with pytest.raises(ContractBroken, match=r"'odd(\.a)?'") as caught:
        profile({"odd": values})
    assert "columns" in caught.value.hint
    assert profile({"odd": values, "x": [1, 2]}, columns=["x"]).rows == 2


def test_a_column_that_is_not_there_is_refused_with_a_suggestion() -> None:
    """A wrong column name is answered with the nearest one."""
    with pytest.raises(ContractBroken, match="'distence' is missing") as caught:
        profile({"distance": [1.0]}, columns=["distence"])
    assert "'distance'" in caught.value.hint


def test_a_column_that_only_the_reference_has_is_left_out() -> None:
    """With `edges_from`, a vanished column is left to the decision instead of raising."""
    reference = profile({"x": [1.0], "gone": [2.0]})
    found = profile({"x": [1.0]}, columns=["x", "gone"], edges_from=reference)
    assert list(found.columns) == ["x"]


def test_too_many_categories_become_the_frequent_ones_and_the_rest() -> None:
    """Beyond 10,000 names the frequent ones are counted exactly, the rest as one number."""
    rng = np.random.default_rng(5)
    frequent = rng.integers(0, 50, 60_000)
    rare = rng.integers(1_000, 1_000_000, 40_000)
    values = rng.permutation(np.concatenate([frequent, rare])).astype(str)
    reference = profile({"c": values})
    found = reference.columns["c"]
    assert not found.complete
    assert 800 <= len(found.counts) <= 1_000
    names, counts = np.unique(frequent.astype(str), return_counts=True)
    exact = dict(zip(names.tolist(), counts.tolist(), strict=True))
    assert {name: found.counts[name] for name in exact} == exact
    assert found.present == 100_000
    assert found.distinct_values == pytest.approx(np.unique(values).size, rel=0.12)
    later = profile({"c": ["1", "never seen"]}, edges_from=reference)
    assert (later.columns["c"].counts["1"], later.columns["c"].other) == (1, 1)
    assert reference.merge(later).columns["c"].present == 100_002


def test_a_batch_of_new_categories_folds_onto_the_reference() -> None:
    """A batch with too many names keeps those of the reference, so that both stay comparable."""
    reference = profile({"c": ["a", "b"]})
    names = np.char.add("n", np.arange(10_050).astype(str))
    found = profile({"c": ["a", *names]}, edges_from=reference).columns["c"]
    assert (found.counts, found.other, found.complete) == ({"a": 1, "b": 0}, 10_050, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda _: b"\xff\x00", "truncated or not JSON"),
        (lambda _: b"[1, 2]", "not a drift profile"),
        (lambda data: data.replace(b'"version":2', b'"version":3'), "newer"),
        (lambda data: data.replace(b'"rows":3', b'"rows":4'), "damaged"),
        (lambda data: data.replace(b'"nulls":0', b'"nulls":-1'), "damaged"),
        (lambda data: data.replace(b'"mean":2', b'"mean":NaN'), "damaged"),
    ],
    ids=["truncated", "binary", "foreign", "newer", "wrong-sum", "negative", "nan"],
)
def test_a_damaged_profile_is_refused(change: Callable[[bytes], bytes], message: str) -> None:
    """Truncated, foreign, newer and inconsistent bytes are named as what they are, with a hint."""
    data = profile({"x": [1.0, 2.0, 3.0]}).to_bytes()
    with pytest.raises(InvalidData, match=message) as caught:
        Profile.from_bytes(change(data))
    assert caught.value.hint


def test_a_truncated_file_is_invalid_data(tmp_path: Path) -> None:
    """Parquet whose pages are damaged ends as InvalidData, not as the library's own error."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": np.random.default_rng(0).normal(size=50_000)}), path)
    data = bytearray(path.read_bytes())
    data[100:200_000] = bytes(199_900)
    path.write_bytes(data)
    with pytest.raises(InvalidData, match="could not be read"):
        build_profile(ds.dataset(path))


def test_partitions_filters_and_text_files_are_read(tmp_path: Path) -> None:
    """Partition columns count as columns; filtered, joined and CSV datasets are profiled too."""
    table = pa.table({"d": ["a"] * 3 + ["b"] * 2, "x.y": range(5)})
    ds.write_dataset(table, tmp_path / "p", format="parquet", partitioning=["d"])
    parts = ds.dataset(tmp_path / "p", partitioning=["d"])
    assert build_profile(parts).columns["d"].counts == {"a": 3, "b": 2}
    assert build_profile(parts.filter(ds.field("x.y") > 2)).rows == 2
    assert build_profile(ds.dataset([parts, parts])).rows == 10
    ds.write_dataset(table, tmp_path / "c", format="csv")
    assert build_profile(ds.dataset(tmp_path / "c", format="csv")).columns["x.y"].maximum == 4


def test_no_rows_give_an_empty_profile() -> None:
    """An empty dataset has a profile with empty counts, which can be read back."""
    found = profile({"x": pa.array([], pa.float64()), "c": pa.array([], pa.string())})
    assert found.rows == 0
    assert Profile.from_bytes(found.to_bytes()) == found


def test_extreme_numbers_survive() -> None:
    """Numbers whose moments overflow keep exact counts; the moments are said to be unknown."""
    found = profile({"x": [1.7e308, -1.7e308, 5e-324, -0.0]})
    column = found.columns["x"]
    assert sum(column.counts) == 4
    assert column.m2 is None
    assert Profile.from_bytes(found.to_bytes()) == found


SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"


def older(found: Profile) -> bytes:
    """The profile as version 1 of the format wrote it."""
    content = json.loads(found.to_bytes())
    content["version"] = 1
    for field in ("model", "partition", "by", "derivations", "segments", "edges_digest"):
        del content[field]
    for column in content["columns"].values():
        column.pop("zoned", None)
    return json.dumps(content).encode()


def test_the_published_schema_is_what_is_written() -> None:
    """docs/schemas holds the schema of a profile's file, and a file with everything fits it."""
    schema = json.loads((SCHEMAS / "Profile-v2.json").read_text())
    assert schema == Profile.model_json_schema(mode="serialization")
    jsonschema.Draft202012Validator.check_schema(schema)
    found = profile(
        {"x": [1.0, 2.0, None], "c": ["a", "b", "a"], "t": ["one two", "", None]},
        kinds={"t": "text"},
        given={"x": ["c"]},
        by=["c"],
        model="models:/m/1",
        partition="2013-01-01",
    )
    jsonschema.validate(json.loads(found.to_bytes()), schema)
    broken = json.loads(found.to_bytes()) | {"rows": -1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_version_1_is_read_and_its_schema_stays() -> None:
    """A file of version 1 fits the schema published for it, and reads as the same counts."""
    found = profile({"x": [1.0, 2.0, None], "c": ["a", "b", "a"]})
    data = older(found)
    jsonschema.validate(json.loads(data), json.loads((SCHEMAS / "Profile-v1.json").read_text()))
    assert Profile.from_bytes(data) == found


def test_fields_of_a_newer_minor_version_are_left_out() -> None:
    """What a newer writer adds, at the top, in a column or a segment, does not stop a reader."""
    found = profile({"x": [1.0, 2.0], "c": ["a", "b"]}, by=["c"])
    content = json.loads(found.to_bytes())
    content["owner"] = "ana"
    content["columns"]["x"]["entropy"] = 0.5
    content["segments"]["c=a"]["colour"] = "red"
    assert Profile.from_bytes(json.dumps(content).encode()) == found


def test_what_the_rows_are_is_kept() -> None:
    """The model version and the partition are written with the counts."""
    found = profile({"x": [1.0]}, model="models:/flights/7", partition="2013-02-01")
    again = Profile.from_bytes(found.to_bytes())
    assert (again.model, again.partition) == ("models:/flights/7", "2013-02-01")


def test_counts_stay_integers() -> None:
    """No count, and no whole number among the edges, becomes a fraction in the file."""
    content = json.loads(profile({"x": np.arange(10)}, by=["x"]).to_bytes())
    assert {type(each) for each in content["columns"]["x"]["counts"]} == {int}
    assert {type(each) for each in content["columns"]["x"]["edges"][1:]} == {int}


def test_the_digest_names_the_edges() -> None:
    """Profiles on the same edges share a digest, a column that is gone included; others do not."""
    reference = profile({"x": np.arange(50.0), "y": np.arange(50.0)})
    later = profile({"x": [3.0], "y": [99.0]}, edges_from=reference)
    gone = profile({"x": [3.0]}, columns=["x", "y"], edges_from=reference)
    assert later.edges_digest == reference.edges_digest == gone.edges_digest
    assert reference.only(["x"]).edges_digest == reference.edges_digest
    assert list(reference.only(["x"]).columns) == ["x"]
    other = profile({"x": np.arange(1.0, 51.0), "y": np.arange(50.0)})
    more = profile({"x": [3.0], "y": [1.0], "new": [1.0]}, edges_from=reference)
    assert len({reference.edges_digest, other.edges_digest, more.edges_digest}) == 3
    assert Profile.from_bytes(later.to_bytes()).edges_digest == later.edges_digest
