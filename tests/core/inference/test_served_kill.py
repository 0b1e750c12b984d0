"""A scoring that its orchestrator ends by a signal: it ends, whatever it waits for."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backbeat import Actor, Done, RunIdentity, embedded, run_step
from backbeat.steps import BatchInference


class Interrupt(BaseException):
    """Like Dagster's interrupt and Airflow's time-out."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """A signal whose handler raises."""

    def handle(_number: int, _frame: Any) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, handle)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
def test_a_signal_ends_it(tmp_path: Path, server: Any) -> None:
    """While requests wait for their answers; the next attempt asks for what has none."""
    platform = embedded(tmp_path, ledger=False, registry=False)
    with platform.store.writing("day.parquet") as path:
        pq.write_table(pa.table({"id": list(range(40)), "x": [float(n) for n in range(40)]}), path)
    serving: dict[str, Any] = {"request_rows": 4, "resilience": {"in_flight": 2}}
    fields: dict[str, Any] = {"data": "day.parquet", "serving": serving}
    step = BatchInference(model=server.address, output_key="scores", key=("id",), **fields)
    actor = Actor(id="ana", method="python")
    identity = RunIdentity(workflow="nightly", run="r1", task="score", actor=actor)

    def kill() -> None:
        while server.under_way < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGALRM)

    server.held.clear()
    killing = threading.Thread(target=kill)
    killing.start()
    with pytest.raises(Interrupt):
        run_step(step, identity, platform)
    killing.join()
    assert len(server.asked) == 2
    server.held.set()
    done = run_step(step, identity, platform)
    assert isinstance(done, Done)
    assert done.value["calls"] == 10
