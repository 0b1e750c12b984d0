from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from backbeat.contract import DataContract, load_contract
from backbeat.data import open_store
from backbeat.errors import InvalidData, NotFound

Build = Callable[..., DataContract]


def test_a_contract_is_found_by_key_path_and_uri(tmp_path: Path, contract: Build) -> None:
    """Wherever the data may be named, so may its contract."""
    store = open_store(tmp_path / "store")
    store.write("contracts/parcels.json", json.dumps(contract().to_json()).encode())
    path = tmp_path / "store" / "contracts" / "parcels.json"

    for uri in ("contracts/parcels.json", str(path), path.as_uri()):
        assert load_contract(store, uri) == contract()


@pytest.mark.parametrize("uri", ["contracts/parcel.json", "contracts", "contracts/parcels.json/x"])
def test_what_is_not_there_is_named(tmp_path: Path, contract: Build, uri: str) -> None:
    """A missing file, or a folder with one contract in it, is no contract."""
    store = open_store(tmp_path)
    store.write("contracts/parcels.json", json.dumps(contract().to_json()).encode())
    with pytest.raises(NotFound, match=uri) as caught:
        load_contract(store, uri)
    assert "infer" in caught.value.hint


def test_what_is_no_contract_is_named(tmp_path: Path) -> None:
    """The error names the file, and what is wrong with it."""
    store = open_store(tmp_path)
    store.write("a.json", b'{"name": "a", "version": "1.0.0", "columns": []}')
    with pytest.raises(InvalidData, match=r"a\.json is no data contract: .*promises nothing"):
        load_contract(store, "a.json")
