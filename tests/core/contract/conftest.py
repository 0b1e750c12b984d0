"""A contract about parcels, and tables that keep it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from backbeat.contract import DataContract

PARCELS: dict[str, Any] = {
    "name": "parcels",
    "version": "1.2.0",
    "columns": [
        {"name": "parcel_id", "type": "int64", "nullable": False, "unique": True},
        {"name": "weight", "type": "float64", "unit": "kg", "minimum": 0, "maximum": 40},
        {"name": "depot", "type": "string", "among": ["north", "south"]},
    ],
    "rows": {"minimum": 1},
    "key": ["parcel_id"],
}


@pytest.fixture
def contract() -> Callable[..., DataContract]:
    """The contract about parcels; anything of it, or of its columns, can be said otherwise."""

    def build(*, columns: dict[str, Any] | None = None, **fields: Any) -> DataContract:
        changed = [{**item, **(columns or {}).get(item["name"], {})} for item in PARCELS["columns"]]
        return DataContract.model_validate({**PARCELS, "columns": changed, **fields})

    return build


@pytest.fixture
def parcels() -> Callable[..., pa.Table]:
    """Four parcels; any column can be another one, or None to leave it out."""

    def build(**columns: Any) -> pa.Table:
        known = {
            "parcel_id": pa.array([1, 2, 3, 4], pa.int64()),
            "weight": pa.array([0.0, 2.5, None, 40.0], pa.float64()),
            "depot": pa.array(["north", None, "south", "south"], pa.string()),
        }
        return pa.table({k: v for k, v in {**known, **columns}.items() if v is not None})

    return build
