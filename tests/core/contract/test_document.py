from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from backbeat.contract import DataContract, contract_from_json
from backbeat.errors import InvalidData

Build = Callable[..., DataContract]
COLUMN = {"name": "a", "type": "int64"}
SMALL: dict[str, Any] = {"name": "small", "version": "1.0.0", "columns": [COLUMN]}


def test_comes_back_from_its_json(contract: Build) -> None:
    """Written and read again it is the same contract with the same digest."""
    written = json.dumps(contract().to_json())
    again = contract_from_json(written, what="parcels.json")

    assert again == contract()
    assert again.digest() == contract().digest()


def test_the_digest_is_of_what_it_says(contract: Build) -> None:
    """Layout and spelled-out defaults change no digest; another promise does."""
    spelled_out = contract().model_dump(mode="json")
    loose = contract(columns={"weight": {"maximum": 41}})

    assert contract_from_json(spelled_out, what="it").digest() == contract().digest()
    assert loose.digest() != contract().digest()


@pytest.mark.parametrize(
    ("change", "says", "hint"),
    [
        ({"colums": []}, "colums is no field", "did you mean columns?"),
        ({"columns": [{**COLUMN, "nulable": True}]}, "nulable is no field", "nullable?"),
        ({"columns": [{**COLUMN, "type": "int"}]}, "columns.0.type", "did you mean int"),
        ({"version": "1.0"}, "version", "DataContract-v1.json"),
        ({"version": "01.0.0"}, "version", "DataContract-v1.json"),
        ({"columns": []}, "promises nothing", "DataContract-v1.json"),
        ({"columns": [COLUMN, COLUMN]}, "declared more than once", "DataContract-v1.json"),
        ({"key": ["b"]}, "names the column b, which is not declared", "DataContract-v1.json"),
        ({"key": ["a"]}, "neither nullable nor nested", "DataContract-v1.json"),
        ({"rows": {"minimum": 2, "maximum": 1}}, "above their maximum", "DataContract-v1.json"),
        ({"rows": {"minimum": -1}}, "rows.minimum", "DataContract-v1.json"),
        ({"format": "backbeat.contract/v2"}, "format", "DataContract-v1.json"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], says: str, hint: str) -> None:
    """What is no contract is refused with the field that is wrong and a hint."""
    with pytest.raises(InvalidData, match=says) as caught:
        contract_from_json({**SMALL, **change}, what="small.json")
    assert hint in caught.value.hint
    assert "small.json" in caught.value.message


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ({"type": "string", "minimum": 1}, "only numbers have a range"),
        ({"minimum": 2, "maximum": 1}, "no value could be"),
        ({"minimum": True}, "minimum"),
        ({"type": "float64", "minimum": float("nan")}, "minimum"),
        ({"among": ["x"]}, "'x' cannot be among"),
        ({"among": [1.5]}, "1.5 cannot be among"),
        ({"type": "int8", "among": [128]}, "128 cannot be among"),
        ({"type": "uint8", "among": [-1]}, "-1 cannot be among"),
        ({"type": "string", "among": [True]}, "True cannot be among"),
        ({"type": "bool", "among": [1]}, "1 cannot be among"),
        ({"type": "decimal", "among": [1]}, "1 cannot be among"),
        ({"among": []}, "among"),
        ({"type": "nested", "unique": True}, "nested"),
        ({"name": ""}, "name"),
        ({"unit": ""}, "unit"),
    ],
)
def test_a_rule_fits_its_type(column: dict[str, Any], says: str) -> None:
    """A rule that no value of the type could keep, or that means nothing for it, is refused."""
    with pytest.raises(InvalidData, match=says):
        contract_from_json({**SMALL, "columns": [{**COLUMN, **column}]}, what="small.json")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff\xfe", '{"name": NaN}', "[1]"])
def test_what_is_no_json_object_is_refused(text: str | bytes) -> None:
    """Truncated, hostile or foreign bytes are an error of the file, never a crash."""
    with pytest.raises(InvalidData) as caught:
        contract_from_json(text, what="broken.json")
    assert caught.value.hint
