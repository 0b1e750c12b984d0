"""Job servers by name: the one that ships, and those of installed packages."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jobs_custom import Overnight
from jobs_scored import identity

from backbeat import Done, Platform, run_step
from backbeat.errors import InvalidStep
from backbeat.inference import read_scores
from backbeat.inference.jobs import parse_job_address, servers
from backbeat.steps import BatchInference


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two packages that register a server each; one of them is broken."""
    found = [
        EntryPoint("overnight", "jobs_custom:Overnight", servers.GROUP),
        EntryPoint("broken", "jobs_custom:Nobody", servers.GROUP),
    ]
    monkeypatch.setattr(servers, "_registered", lambda: {each.name: each for each in found})
    servers._made.cache_clear()
    yield
    servers._made.cache_clear()


@pytest.mark.usefixtures("registered")
def test_a_table_is_scored_by_a_server_of_ones_own(platform: Platform) -> None:
    """Several rows a question, several shards, an error that passes: all of it is the core's."""
    with platform.store.writing("x.parquet") as path:
        pq.write_table(pa.table({"id": list(range(25)), "x": [float(n) for n in range(25)]}), path)
    fields: dict[str, Any] = {"model": "overnight+grpc://host:1/any/path", "data": "x.parquet"}
    step = BatchInference(
        **fields, output_key="y", key=("id",), shard_rows=10, serving={"request_rows": 2}
    )
    done = run_step(step, identity(), platform)
    assert isinstance(done, Done)
    assert done.value["jobs"] == ["job-0", "job-3", "job-1", "job-2"]
    table = read_scores(platform.store, "y")
    assert table["score"].to_pylist() == [2.0 * n for n in range(25)]
    assert len({effect for effect, _ in Overnight.jobs}) == len(Overnight.jobs)


@pytest.mark.usefixtures("registered")
def test_a_package_that_does_not_load_is_named() -> None:
    """Where it is used, and only there."""
    with pytest.raises(InvalidStep, match=r"'broken' is registered as jobs_custom:Nobody"):
        servers.job_server("broken+http://host/x")


def test_a_slip_in_the_name_is_told() -> None:
    """With what is known."""
    with pytest.raises(InvalidStep, match="did you mean openai-batch") as told:
        parse_job_address("openai-batsh+https://host/v1/batches?model=m")
    assert not told.value.retryable
