"""A table scored by a served model, as an asset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

import dagster_backbeat as bb
from backbeat.inference import read_scores
from backbeat.testing import ModelServer, model_server


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A real model server."""
    with model_server() as running:
        yield running


def test_an_asset_of_scores_by_a_served_model(tmp_path: Path, server: ModelServer) -> None:
    """Its metadata says how many calls it took; a second run makes none."""
    path = tmp_path / "platform/store/day.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": list(range(50)), "x": [float(n) for n in range(50)]}), path)
    backbeat = bb.BackbeatResource(folder=str(tmp_path / "platform"), ledger="none")
    scores = bb.inference_asset(
        asset="scores",
        model=server.address,
        data="day.parquet",
        output_key="scores/day",
        key=["id"],
        serving={"request_rows": 10, "prices": {"a_call": 0.25}},
    )
    found = dg.materialize([scores], resources={"backbeat": backbeat})
    (made,) = found.asset_materializations_for_node("scores")
    value = made.metadata["backbeat/value"].value
    assert (value["calls"], value["cost"], value["rows"]) == (5, 1.25, 50)
    table = read_scores(backbeat.platform.store, "scores/day")
    assert table["score"].to_pylist() == [2.0 * n for n in range(50)]
    dg.materialize([scores], resources={"backbeat": backbeat})
    assert len(server.asked) == 5


def test_a_slip_in_an_address_shows_when_the_definitions_load() -> None:
    """Like every literal."""
    with pytest.raises(Exception, match="did you mean kserve-v1"):
        bb.inference_asset(
            asset="scores",
            model="kserve-v2+http://127.0.0.1:1/v1/models/m",
            data="day.parquet",
            output_key="scores/day",
            key=["id"],
        )


def test_an_op_asks_about_another_ops_rows(tmp_path: Path, server: ModelServer) -> None:
    """Rows in, predictions out, in a job of the user's own; its pool is the endpoint's."""
    ask = bb.infer_op(name="ask", model=server.address)

    @dg.op
    def rows() -> list:  # type: ignore[type-arg]
        return [{"x": 1.0}, {"x": 2.0}]

    @dg.job
    def job() -> None:
        ask(rows())

    backbeat = bb.BackbeatResource(folder=str(tmp_path / "platform"), ledger="none")
    found = job.execute_in_process(resources={"backbeat": backbeat})
    assert found.output_for_node("ask") == [{"score": 2.0}, {"score": 4.0}]
    assert ask.pool == f"backbeat/127_0_0_1_{server.port}"
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="no address of a served model"):
        bb.infer_op(name="ask", model="churn")
