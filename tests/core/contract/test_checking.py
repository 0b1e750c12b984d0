from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from backbeat.contract import Column, DataContract, check, contract_of, require
from backbeat.errors import ContractBroken, InvalidData

Build = Callable[..., DataContract]
Parcels = Callable[..., pa.Table]


def _one(column: dict[str, Any], values: pa.Array | pa.ChunkedArray) -> list[tuple[str, Any, Any]]:
    contract = DataContract(
        name="one", version="1.0.0", columns=(Column.model_validate({"name": "x", **column}),)
    )
    found = check(contract, pa.table({"x": values})).findings
    return [(finding.rule, finding.rows, finding.example) for finding in found]


def test_data_that_keeps_its_contract_has_no_findings(contract: Build, parcels: Parcels) -> None:
    """Bounds count as kept, and missing values break only the promise that none are missing."""
    checked = check(contract(), parcels())

    assert checked.ok
    assert checked.rows == 4


def test_columns_that_nobody_promised_may_be_there(contract: Build, parcels: Parcels) -> None:
    """A reader who relies on three columns is not disturbed by a fourth."""
    assert check(contract(), parcels(extra=pa.array([[1], [], None, [2]]))).ok


@pytest.mark.parametrize(
    ("column", "rule", "rows", "example"),
    [
        ({"weight": pa.array([-0.5, 1.0, -2.0, None])}, "minimum", 2, "-0.5"),
        ({"weight": pa.array([1.0, 40.5, None, 3.0])}, "maximum", 1, "40.5"),
        ({"weight": pa.array([float("nan"), 1.0, 2.0, 3.0])}, "minimum", 1, "nan"),
        ({"depot": pa.array(["north", "east", None, "west"])}, "among", 2, "'east'"),
        ({"parcel_id": pa.array([1, 2, None, 4])}, "null", 1, None),
        ({"parcel_id": pa.array([7, 2, 7, 7])}, "unique", 2, "7"),
    ],
)
def test_a_finding_says_column_rule_rows_and_an_example(
    contract: Build,
    parcels: Parcels,
    column: dict[str, Any],
    rule: str,
    rows: int,
    example: str | None,
) -> None:
    """Each value rule counts the rows that break it and shows the first of them."""
    found = check(contract(), parcels(**column)).findings[0]

    assert (found.column, found.rule) == (next(iter(column)), rule)
    assert (found.rows, found.example) == (rows, example)


def test_the_schema_is_checked_before_any_value(contract: Build, parcels: Parcels) -> None:
    """Missing and mistyped columns are found, and the sound ones are still looked at."""
    table = parcels(weight=pa.array(["1", "2", "3", "4"]), depot=None, parcel_id=[1, 1, 2, 3])
    found = [(item.column, item.rule) for item in check(contract(), table).findings]

    assert found[:2] == [("weight", "type"), ("depot", "missing")]
    assert found[2:] == [("parcel_id", "unique"), ("parcel_id", "key")]


def test_a_column_that_is_there_twice_is_found(contract: Build, parcels: Parcels) -> None:
    """Nobody can say which of two columns of one name was promised."""
    table = parcels().append_column("depot", pa.array(["north"] * 4))
    other = pa.Table.from_arrays(
        [*parcels(), [1] * 4, [2] * 4], [*parcels().schema.names, "x", "x"]
    )
    assert [item.rule for item in check(contract(), table).findings] == ["repeated"]
    assert [item.column for item in check(contract(), other).findings] == ["x"]


def test_rows_are_counted(contract: Build, parcels: Parcels) -> None:
    """An empty table breaks the promise of at least one row, a long one that of at most two."""
    empty = check(contract(), parcels().slice(0, 0))
    long = check(contract(rows={"maximum": 2}), parcels())

    assert [(item.rule, item.found) for item in empty.findings] == [("rows", "0 rows")]
    assert [(item.rule, item.found) for item in long.findings] == [("rows", "4 rows")]


def test_rows_are_counted_where_no_value_is_read(parcels: Parcels) -> None:
    """A contract of names and types alone reads no column, and still knows the rows."""
    assert check(contract_of(parcels()), parcels()).rows == 4


def test_a_key_may_be_of_several_columns(parcels: Parcels) -> None:
    """Together they tell rows apart, though each repeats; a repeat is counted once."""
    contract = DataContract.model_validate(
        {
            "name": "visits",
            "version": "1.0.0",
            "columns": [
                {"name": "day", "type": "date", "nullable": False},
                {"name": "depot", "type": "string", "nullable": False},
            ],
            "key": ["day", "depot"],
        }
    )
    days = pa.array([date(2024, 5, 1), date(2024, 5, 1), date(2024, 5, 2), date(2024, 5, 2)])
    good = pa.table({"day": days, "depot": pa.array(["a", "b", "a", "b"]).dictionary_encode()})
    bad = pa.table({"day": days, "depot": ["a", "a", "a", "b"]})

    assert check(contract, good).ok
    (found,) = check(contract, bad).findings
    assert (found.rule, found.rows) == ("key", 1)
    assert found.example == "datetime.date(2024, 5, 1), 'a'"


def test_missing_values_do_not_repeat(contract: Build) -> None:
    """As in SQL, a unique column may be null more than once."""
    assert _one({"type": "string", "unique": True}, pa.array(["a", None, None])) == []


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("string", pa.array(["a", "b"]).dictionary_encode()),
        ("string", pa.array(["a"], pa.large_string())),
        ("string", pa.array(["a"], pa.string_view())),
        ("binary", pa.array([b"ab"], pa.binary(2))),
        ("date", pa.array([date(2024, 1, 1)], pa.date64())),
        ("timestamp", pa.array([datetime(2024, 1, 1)], pa.timestamp("ns"))),  # noqa: DTZ001
        ("timestamp_tz", pa.array([0], pa.timestamp("s", "UTC"))),
        ("duration", pa.array([timedelta(1)])),
        ("decimal", pa.array([Decimal("1.5")])),
        ("nested", pa.array([[1.0, 2.0]])),
        ("nested", pa.array([{"a": 1}])),
        ("float16", pa.array(np.array([1.0], np.float16))),
        ("int32", pa.RunEndEncodedArray.from_arrays([2], pa.array([7], pa.int32()))),
        ("null", pa.nulls(2)),
    ],
)
def test_types_are_of_meaning_and_not_of_layout(kind: str, values: pa.Array) -> None:
    """What can be inferred is kept, whichever of Arrow's layouts the values have."""
    table = pa.table({"x": values})
    contract = contract_of(table)

    assert contract.columns[0].type == kind
    assert check(contract, table).ok
    if kind not in {"nested", "null"}:
        strict = {"type": kind, "nullable": False, "unique": True}
        expected = [("unique", 1, "7")] if kind == "int32" else []
        assert _one(strict, values) == expected


def test_a_moment_is_no_wall_clock() -> None:
    """A zone that appears or vanishes is another type."""
    assert _one({"type": "timestamp"}, pa.array([0], pa.timestamp("s", "UTC")))[0][0] == "type"


def test_a_column_in_which_nothing_was_written_has_any_type() -> None:
    """An all-empty CSV column has no type: it is only broken where nulls are."""
    rules = {"minimum": 0, "maximum": 1, "among": [1], "unique": True}
    assert _one({"type": "int64", **rules}, pa.nulls(3)) == []
    assert _one({"type": "int64", "nullable": False}, pa.nulls(3)) == [("null", 3, None)]


@pytest.mark.parametrize(
    ("kind", "rules", "broken"),
    [
        (pa.int8(), {"minimum": -1000, "maximum": 1000}, []),
        (pa.int8(), {"minimum": 1000}, [("minimum", 2, "-1")]),
        (pa.int8(), {"maximum": -1000}, [("maximum", 2, "-1")]),
        (pa.int64(), {"minimum": 0.5}, [("minimum", 1, "-1")]),
        (pa.int64(), {"maximum": 0.5}, [("maximum", 1, "1")]),
        (pa.int64(), {"among": [1]}, [("among", 1, "-1")]),
        (pa.float16(), {"among": [1, -1]}, []),
        (pa.float32(), {"maximum": 0}, [("maximum", 1, "1.0")]),
        (pa.decimal128(5, 2), {"minimum": 0}, [("minimum", 1, "Decimal('-1.00')")]),
    ],
)
def test_bounds_are_held_in_the_columns_own_type(
    kind: pa.DataType, rules: dict[str, Any], broken: list[Any]
) -> None:
    """A bound beyond what the type can hold is kept by all values or by none, without overflow."""
    name = contract_of(pa.schema([pa.field("x", kind)])).columns[0].type
    values = pa.array([Decimal(-1), Decimal(1)] if name == "decimal" else [-1, 1]).cast(kind)
    assert _one({"type": name, **rules}, values) == broken


def test_a_float32_is_not_above_its_own_maximum() -> None:
    """0.1 as a float32 is a little above 0.1: the bound is rounded as the values were."""
    assert _one({"type": "float32", "maximum": 0.1}, pa.array([0.1], pa.float32())) == []


def test_zero_has_no_sign() -> None:
    """-0.0 is among [0] and repeats 0.0."""
    rules = {"type": "float64", "among": [0], "unique": True}
    assert _one(rules, pa.array([-0.0, 0.0])) == [("unique", 1, "0.0")]


def test_unsigned_integers_beyond_signed_ones() -> None:
    """The largest uint64 is neither below a minimum nor equal to a small value."""
    values = pa.array([2**64 - 1], pa.uint64())
    assert _one({"type": "uint64", "minimum": -5}, values) == []
    assert _one({"type": "uint64", "maximum": 5}, values)[0][0] == "maximum"


def test_a_unit_must_agree_where_the_data_says_one() -> None:
    """Miles in a column of kilometres are found by the field's metadata, and only by it."""
    contract = DataContract.model_validate(
        {
            "name": "ways",
            "version": "1.0.0",
            "columns": [{"name": "way", "type": "int64", "unit": "km", "minimum": 0}],
        }
    )
    schema = pa.schema([pa.field("way", pa.int64(), metadata={"unit": "mi"})])
    found = check(contract, pa.table({"way": [-1]}, schema=schema)).findings

    assert [item.rule for item in found] == ["unit", "minimum"]
    assert found[0].found == "in mi"
    assert check(contract, pa.table({"way": [1]})).ok
    assert contract_of(schema).columns[0].unit == "mi"


def test_it_reads_files_of_both_formats(tmp_path: Path, contract: Build, parcels: Parcels) -> None:
    """Parquet and CSV files are one dataset to it; findings add up over files and batches."""
    table = parcels(weight=pa.array([1.0, 99.0, 2.0, 98.0]))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    pyarrow.csv.write_csv(parcels(parcel_id=[4, 5, 6, 7]), tmp_path / "b.csv")
    data = ds.dataset(
        [ds.dataset(tmp_path / "a.parquet"), ds.dataset(tmp_path / "b.csv", format="csv")]
    )
    checked = check(contract(columns={"depot": {"among": None}}), data)

    assert checked.rows == 8
    assert [(item.rule, item.rows) for item in checked.findings] == [
        ("unique", 1),
        ("maximum", 2),
        ("key", 1),
    ]


def test_a_damaged_file_is_invalid_data(tmp_path: Path, contract: Build, parcels: Parcels) -> None:
    """A page that cannot be read is no finding: the data has to land again."""
    path = tmp_path / "a.parquet"
    pq.write_table(parcels(), path, compression="gzip", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[20:60] = bytes(40)
    data = ds.dataset(path)
    path.write_bytes(content)
    with pytest.raises(InvalidData):
        check(contract(), data)


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Two million rows are looked at in a fraction of their size."""
    path = tmp_path / "long.parquet"
    table = pa.table({f"c{i}": np.arange(2_000_000) for i in range(4)})
    pq.write_table(table, path, row_group_size=100_000)
    columns = tuple(Column(name=f"c{i}", type="int64", minimum=0) for i in range(4))
    contract = DataContract(name="long", version="1.0.0", columns=columns)
    program = """if True:
        import sys
        import pyarrow as pa, pyarrow.dataset as ds
        from backbeat.contract import check, contract_from_json
        checked = check(contract_from_json(sys.argv[1], what="it"), ds.dataset(sys.argv[2]))
        assert checked.ok and checked.rows == 2_000_000
        print(pa.default_memory_pool().max_memory())
    """
    command = [sys.executable, "-c", program, json.dumps(contract.to_json()), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert 0 < int(done.stdout) < table.nbytes / 4


def test_a_broken_contract_reads_like_a_diff(contract: Build, parcels: Parcels) -> None:
    """The error shows what was promised above what is there, and names the likely column."""
    table = parcels(weight=None, wieght=pa.array([1.0] * 4), depot=pa.array(["east"] * 4))
    with pytest.raises(ContractBroken) as caught:
        require(contract(), table, what="parcels (today.parquet)")

    message = caught.value.message
    assert message.startswith(
        "the parcels (today.parquet) does not keep the contract parcels 1.2.0:\n"
    )
    assert "- weight: float64\n+ weight: missing\n" in message
    assert "- depot: one of 'north', 'south'\n+ depot: is not one of" in message
    assert "in 4 rows, such as 'east'" in message
    assert caught.value.hint == "is wieght the column weight?"


def test_data_without_names_has_no_contract() -> None:
    """Readers find columns by name: a contract of nameless or equal ones is refused."""
    for schema in (
        pa.schema([]),
        pa.schema([("", pa.int64())]),
        pa.schema([("a", pa.int64()), ("a", pa.int8())]),
    ):
        with pytest.raises(InvalidData):
            contract_of(schema)
