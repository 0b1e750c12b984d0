from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from backbeat.data import FolderStore
from backbeat.testing import ModelServer, model_server

ROWS = 95
FILES = 3


class Double:
    """Scores a row with twice its x, and remembers which rows it was given."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []

    def predict(self, frame: pd.DataFrame) -> Any:
        self.calls.append(frame["x"].tolist())
        return frame["x"].to_numpy() * 2


@pytest.fixture
def model() -> Double:
    """A model that counts."""
    return Double()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A real store."""
    return FolderStore(tmp_path / "store")


@pytest.fixture
def data(tmp_path: Path) -> ds.Dataset:
    """Ninety-five rows in three Parquet files, whose x is the row's number."""
    folder = tmp_path / "landing"
    folder.mkdir()
    table = pa.table(
        {
            "flight_id": [f"f{number}" for number in range(ROWS)],
            "x": [float(number) for number in range(ROWS)],
            "carrier": ["AA"] * ROWS,
        }
    )
    size = ROWS // FILES + 1
    for index in range(FILES):
        pq.write_table(table.slice(index * size, size), folder / f"{index}.parquet")
    files = sorted(folder.iterdir())
    return ds.dataset([ds.dataset(file) for file in files])


@pytest.fixture
def serving() -> Iterator[Callable[[], ModelServer]]:
    """Starts real model servers, which are ended with the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(model_server())


@pytest.fixture
def server(serving: Callable[[], ModelServer]) -> ModelServer:
    """A real model server."""
    return serving()
