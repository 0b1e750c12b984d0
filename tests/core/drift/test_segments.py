from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from backbeat.drift import Profile, build_profile
from backbeat.errors import ContractBroken, InvalidData, InvalidStep


def rows(size: int = 3_000, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    delay = rng.normal(size=size)
    delay[::50] = np.nan
    delay[1::70] = np.inf
    return pa.table(
        {
            "origin": pa.array(
                rng.choice(["JFK", "EWR", "LGA"], size), mask=rng.random(size) < 0.1
            ),
            "month": rng.integers(1, 13, size),
            "delay": pa.array(delay, mask=rng.random(size) < 0.05),
            "carrier": rng.choice(["UA", "AA", "DL"], size),
        }
    )


def test_a_segment_is_the_profile_of_its_rows() -> None:
    """Every count of a segment is what a profile of only its rows on the same edges counts."""
    table = rows()
    whole = build_profile(table, by=["origin", "month"])
    assert whole.by == ("origin", "month")
    for name, chosen in {
        "origin=JFK": pc.equal(table["origin"], "JFK"),
        "origin=(missing)": pc.is_null(table["origin"]),
        "month=7": pc.equal(table["month"], 7),
    }.items():
        only = build_profile(table.filter(chosen), edges_from=whole)
        found = whole.segments[name]
        assert found.rows == only.rows > 0
        for column, counted in only.columns.items():
            mine = found.columns[column].model_dump()
            other = counted.model_dump()
            for moment in ("mean", "m2"):
                assert mine.pop(moment, None) == pytest.approx(other.pop(moment, None))
            assert mine == other
    for column in whole.by:
        parts = [each.rows for name, each in whole.segments.items() if name.startswith(column)]
        assert sum(parts) == whole.rows


def test_later_rows_are_cut_as_the_reference_was() -> None:
    """`edges_from` brings the segments along; a value that is new belongs to the others."""
    reference = build_profile(rows(), by=["origin"])
    batch = pa.table(
        {
            "origin": ["JFK", "BOS", None],
            "month": [1, 1, 1],
            "delay": [0.0] * 3,
            "carrier": ["UA"] * 3,
        }
    )
    later = build_profile(batch, edges_from=reference)
    assert later.edges_digest == reference.edges_digest
    found = {name: each.rows for name, each in later.segments.items()}
    assert found == {
        "origin=(missing)": 1,
        "origin=EWR": 0,
        "origin=JFK": 1,
        "origin=LGA": 0,
        "origin=(other)": 1,
    }
    merged = reference.merge(later)
    assert merged.segments["origin=JFK"].rows == reference.segments["origin=JFK"].rows + 1
    with pytest.raises(InvalidStep, match="by month, the reference's by origin"):
        build_profile(batch, edges_from=reference, by=["month"])
    gone = build_profile(batch.drop_columns(["origin"]), edges_from=reference)
    assert (gone.by, gone.segments) == ((), {})


def test_names_of_segments_cannot_be_mistaken() -> None:
    """A value may hold the sign that ends a column's name, a column that cuts may not."""
    table = pa.table({"a": ["x", "b=x", "(other)"], "a=b": ["x", "y", "z"]})
    reference = build_profile(table, by=["a"])
    assert {name: each.rows for name, each in reference.segments.items()} == {
        "a=(other)": 1,
        "a=b=x": 1,
        "a=x": 1,
    }
    assert build_profile(table, edges_from=reference).segments == reference.segments
    with pytest.raises(ContractBroken, match="'a=b' cannot cut"):
        build_profile(table, by=["a=b"])


def test_the_file_does_not_repeat_the_edges() -> None:
    """A segment in the file has no edges, and reads back equal, sharing those of all rows."""
    table = rows(40_000)
    whole = build_profile(table, by=["origin"])
    data = whole.to_bytes()
    assert data.count(b'"edges"') == len([c for c in whole.columns.values() if c.kind == "numeric"])
    again = Profile.from_bytes(data)
    assert again == whole
    assert again.to_bytes() == data
    assert again.segments["origin=JFK"].columns["delay"].edges is again.columns["delay"].edges
    without = len(build_profile(table).to_bytes())
    assert len(data) - without < 4 * len(whole.segments) * len(whole.columns["delay"].counts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda segment: segment["columns"]["delay"]["counts"].append(-1), "other bins"),
        (lambda segment: segment["columns"]["delay"].update(counts=[-(10**15)]), "other bins"),
        (lambda segment: segment.update(rows=segment["rows"] + 1), "do not add up"),
        (lambda segment: segment["columns"].update(x=segment["columns"]["delay"]), "'x'"),
    ],
    ids=["a bin more", "a run without end", "wrong sum", "unknown column"],
)
def test_a_damaged_segment_is_refused(change: Any, message: str) -> None:
    """A segment that contradicts the whole profile is damage, and costs no memory to find."""
    content = json.loads(build_profile(rows(), by=["origin"]).to_bytes())
    change(content["segments"]["origin=JFK"])
    with pytest.raises(InvalidData, match=message):
        Profile.from_bytes(json.dumps(content).encode())


def test_the_largest_segments_are_kept_by_name() -> None:
    """Beyond 50 segments, those with the fewest rows are together in one."""
    values = np.repeat(np.arange(200), np.arange(200) + 1)
    found = build_profile(pa.table({"store": values}), by=["store"])
    assert len(found.segments) == 51
    assert found.segments["store=199"].rows == 200
    assert "store=149" not in found.segments
    assert found.segments["store=(other)"].rows == int(np.sum(np.arange(150) + 1))


@pytest.mark.parametrize("size", [1_001, 10_500])
def test_a_column_with_too_many_values_cuts_nothing(size: int) -> None:
    """An identifier is refused as a cut, by its name."""
    with pytest.raises(ContractBroken, match=r"'customer' cannot cut .* limit is 1,000"):
        build_profile(pa.table({"customer": np.arange(size)}), by=["customer"])
    with pytest.raises(ContractBroken, match=r"'region' cannot cut .* missing"):
        build_profile(pa.table({"customer": [1]}), by=["region"])


def test_segments_of_many_categories_fold_like_all_rows(tmp_path: Path) -> None:
    """A column with too many names has the same frozen list in every segment."""
    size = 30_000
    frequent = np.where(np.arange(size) % 3 == 0, "often", np.arange(size).astype(str))
    table = pa.table({"id": frequent, "half": np.where(np.arange(size) < size // 2, "one", "two")})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=7_000)
    found = build_profile(ds.dataset(tmp_path / "x.parquet"), by=["half"])
    whole, one = found.columns["id"], found.segments["half=one"].columns["id"]
    assert not whole.complete
    assert one.counts.keys() == whole.counts.keys()
    assert (one.counts["often"], one.present) == (5_000, 15_000)
    assert one.distinct_values == pytest.approx(10_001, rel=0.15)
    assert Profile.from_bytes(found.to_bytes()) == found
