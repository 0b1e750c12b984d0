"""Whoever asks one model server waits in one pool, which an instance can limit."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from dagster._utils.concurrency import ConcurrencyKeyInfo
from pyarrow import parquet as pq

import dagster_backbeat as bb
from backbeat.testing import ModelServer, model_server
from dagster_backbeat.pools import endpoint_pool


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A real model server."""
    with model_server() as running:
        yield running


def scores(model: str, name: str = "scores", **given: object) -> dg.AssetsDefinition:
    """An asset of ten rows' scores, asked for in one request at a time."""
    return bb.inference_asset(
        asset=name,
        model=model,
        data="day.parquet",
        output_key=f"scores/{name}",
        key=["id"],
        serving={"request_rows": 5, "resilience": {"in_flight": 1}} if "://" in model else None,
        **given,  # type: ignore[arg-type]
    )


def test_a_pool_is_named_for_host_and_port() -> None:
    """One for every protocol and model of a server; none for what is loaded in process."""
    pools = {
        endpoint_pool("oip+http://Churn.example.com:8000/v2/models/churn"),
        endpoint_pool("kserve-v1+http://churn.example.com:8000/v1/models/other"),
    }
    assert pools == {"backbeat/churn_example_com_8000"}
    assert endpoint_pool("openai+https://api.example.com/v1/chat/completions?model=m") == (
        "backbeat/api_example_com_443"
    )
    assert endpoint_pool("oip+grpc://[::1]:8001/churn") == "backbeat/___1__8001"
    assert endpoint_pool("openai-batch+https://api.example.com/v1/batches?model=m") == (
        "backbeat/api_example_com_443"
    )
    assert endpoint_pool("models:/churn@champion") is None
    assert endpoint_pool("file:///srv/models/churn") is None
    assert endpoint_pool("{{ partition_key }}") is None
    assert endpoint_pool(bb.FromAsset("deployed", "address")) is None


def test_assets_and_ops_carry_it() -> None:
    """And take another name, or none, where they are told."""
    address = "kserve-v1+http://churn:8080/v1/models/churn"
    assert scores(address).op.pool == "backbeat/churn_8080"
    assert scores("models:/churn@champion").op.pool is None
    assert scores(address, pool="gpu").op.pool == "gpu"
    assert scores(address, pool="").op.pool is None
    assert bb.infer_op(name="ask", model=address).pool == "backbeat/churn_8080"
    assert bb.infer_op(name="ask", model=address, pool="gpu").pool == "gpu"


_RUN = """
import sys
import dagster as dg
import dagster_backbeat as bb

folder, address = sys.argv[1:]
asset = bb.inference_asset(
    asset="one", model=address, data="day.parquet", output_key="scores/one", key=["id"],
    serving={"request_rows": 5, "resilience": {"in_flight": 1, "deadline_seconds": 100}},
)
backbeat = bb.BackbeatResource(folder=folder, ledger="none")
with dg.DagsterInstance.get() as instance:
    dg.materialize([asset], resources={"backbeat": backbeat}, instance=instance)
"""


def test_a_limit_holds_two_runs_apart(
    tmp_path: Path, server: ModelServer, instance: dg.DagsterInstance
) -> None:
    """While one run's question is not answered, the other run's step waits for the pool."""
    path = tmp_path / "platform/store/day.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": range(10), "x": [float(n) for n in range(10)]}), path)
    pool = endpoint_pool(server.address)
    assert pool is not None
    limits = instance.event_log_storage
    limits.set_concurrency_slots(pool, 1)
    waited: list[int] = []

    def wait_until(reached: Callable[[ConcurrencyKeyInfo], bool]) -> None:
        end = time.monotonic() + 90
        while not reached(limits.get_concurrency_info(pool)):
            assert time.monotonic() < end, limits.get_concurrency_info(pool)
            time.sleep(0.02)

    def answer_when_the_other_waits() -> None:
        try:
            wait_until(lambda info: info.pending_step_count == 1)
            waited.append(server.under_way)
        finally:
            server.held.set()
            # the server's loop, which is another thread's, notices at its next request
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v1/models/double"):
                pass

    server.held.clear()
    folder = str(tmp_path / "platform")
    one = subprocess.Popen([sys.executable, "-c", _RUN, folder, server.address])
    answering = threading.Thread(target=answer_when_the_other_waits)
    try:
        wait_until(lambda info: info.active_slot_count == server.under_way == 1)
        answering.start()
        backbeat = bb.BackbeatResource(folder=folder, ledger="none")
        other = scores(server.address, "other")
        assert dg.materialize([other], resources={"backbeat": backbeat}, instance=instance).success
        assert one.wait(60) == 0
        answering.join()
    finally:
        one.kill()
        one.wait()
    assert waited == [1]
    assert len(server.asked) == 4
    assert server.highest == 1
