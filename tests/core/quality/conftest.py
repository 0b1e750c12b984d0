from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.quality import Suite


@pytest.fixture
def flights() -> Any:
    """A small table with one null, one negative distance and every common type."""
    return ds.dataset(
        pa.table(
            {
                "carrier": ["AA", "UA", "DL", "UA"],
                "distance": [1400, 200, -5, 760],
                "delay": [3.5, None, -2.0, 11.0],
                "day": [dt.date(2013, 3, number) for number in (1, 1, 2, 2)],
                "empty": pa.array([None] * 4, pa.float64()),
                "tail": pa.array(["N1", "N2", "N1", "N3"]).dictionary_encode(),
            }
        )
    )


@pytest.fixture
def suite_of() -> Callable[..., Suite]:
    """Write a suite as (type, kwargs) pairs."""

    def build(*pairs: tuple[str, dict[str, Any]]) -> Suite:
        return Suite.model_validate(
            {
                "name": "flights",
                "expectations": [{"type": kind, "kwargs": kwargs} for kind, kwargs in pairs],
            }
        )

    return build


@pytest.fixture
def gx_folder(tmp_path: Path) -> Path:
    """A real Great Expectations folder with two suites, as its own file context writes it."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    context = gx.get_context(mode="file", project_root_dir=tmp_path / "project")
    context.suites.add(
        gx.ExpectationSuite(
            name="arrivals",
            expectations=[
                gxe.ExpectColumnValuesToNotBeNull(column="delay", mostly=0.5),
                gxe.ExpectColumnValuesToBeBetween(
                    column="distance", min_value=0, description="Distances are in miles."
                ),
            ],
        )
    )
    context.suites.add(gx.ExpectationSuite(name="departures", expectations=[]))
    gx.get_context(mode="ephemeral")
    return tmp_path / "project" / "gx"
