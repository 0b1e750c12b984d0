from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.append(str(Path(__file__).parent))

from jobs_scored import identity, step_of

from backbeat import Platform, embedded, run_step
from backbeat.testing import BatchServer, batch_server

ROWS = 25


@pytest.fixture
def batches() -> Iterator[BatchServer]:
    """A real server of the Batch API."""
    with batch_server() as server:
        yield server


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A platform without a ledger: rung 0, with a table of prompts."""
    path = tmp_path / "platform/store/day.parquet"
    path.parent.mkdir(parents=True)
    table = {"id": [f"i{n}" for n in range(ROWS)], "prompt": [f"say {n}" for n in range(ROWS)]}
    pq.write_table(pa.table(table), path)
    return embedded(tmp_path / "platform", ledger=False, registry=False)


@pytest.fixture
def score(platform: Platform, batches: BatchServer) -> Callable[..., Any]:
    """Scores the table, by the server where no address is given."""

    def scored(
        *,
        attempt: int = 1,
        run: str = "r1",
        waited_for: Any = None,
        on: Platform | None = None,
        **given: Any,
    ) -> Any:
        step = step_of(given.pop("model", batches.address), **given)
        who = identity(attempt=attempt, run=run)
        return run_step(step, who, on or platform, waited_for=waited_for)

    return scored
