"""A served model as a resource, asked from within a user's own assets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

import dagster_backbeat as bb
from backbeat.errors import BudgetSpent, InvalidData, InvalidStep, Unreachable
from backbeat.testing import ModelServer, model_server

ONE_BY_ONE = {"request_rows": 10, "resilience": {"attempts": 1, "in_flight": 1}}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A real model server."""
    with model_server() as running:
        yield running


def rows(count: int) -> pa.Table:
    """Rows for it."""
    return pa.table({"x": [float(number) for number in range(count)]})


def asked(churn: bb.InferenceResource) -> dg.ExecuteInProcessResult:
    """A run of an asset that asks about 25 rows by a resource."""

    @dg.asset
    def scores(churn: bb.InferenceResource) -> dg.MaterializeResult:
        found = churn.predict(rows(25))
        scored = found.table["score"].to_pylist()
        return dg.MaterializeResult(metadata={**found.metadata, "scores": scored})

    return dg.materialize([scores], resources={"churn": churn})


def test_an_asset_asks_by_the_resource(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Answers come in the rows' order; who we are is an EnvVar's secret that is shown nowhere."""
    monkeypatch.setenv("CHURN_ADDRESS", server.address)
    monkeypatch.setenv("CHURN_TOKEN", "s3cret-token")
    churn = bb.InferenceResource(
        address=dg.EnvVar("CHURN_ADDRESS"),
        bearer=dg.EnvVar("CHURN_TOKEN"),
        serving={"request_rows": 10, "prices": {"a_call": 0.5}},
    )
    (made,) = asked(churn).asset_materializations_for_node("scores")
    told = {name: entry.value for name, entry in made.metadata.items()}
    assert told["scores"] == [2.0 * number for number in range(25)]
    assert (told["rows"], told["calls"], told["cost"]) == (25, 3, 1.5)
    assert told["model"] == server.address
    assert {sent["authorization"] for sent in server.headers} == {"Bearer s3cret-token"}
    assert "s3cret" not in "".join(capfd.readouterr()) + repr(churn)
    assert churn.pool == f"backbeat/127_0_0_1_{server.port}"


def test_credentials_by_their_name(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere else, the variable of that name holds them."""
    monkeypatch.setenv("BACKBEAT_CREDENTIALS_CHURN", '{"header": "api-key", "value": "k1"}')
    churn = bb.InferenceResource(address=server.address, serving={"credentials": "churn"})
    churn.predict([{"x": 1.0}])
    assert server.headers[0]["api-key"] == "k1"


def test_a_cap_counts_over_the_runs_retries(server: ModelServer, tmp_path: Path) -> None:
    """Three calls and then a retry: it gets the one that the cap still holds, and the run fails."""
    churn = bb.InferenceResource(
        address=server.address,
        serving={**ONE_BY_ONE, "max_calls": 4},
        backbeat=bb.BackbeatResource(folder=str(tmp_path), tracking_uri="none"),
    )

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def scores(churn: bb.InferenceResource) -> None:
        churn.predict(rows(25))
        raise RuntimeError("after the answers")

    found = dg.materialize([scores], resources={"churn": churn}, raise_on_error=False)
    (failure,) = found.get_step_failure_events()
    assert "max_calls=4" in str(failure.step_failure_data.error)
    assert len(server.asked) == 4
    # another run has a cap of its own
    dg.materialize([scores], resources={"churn": churn}, raise_on_error=False)
    assert len(server.asked) == 8


def test_work_that_cannot_fit_is_refused_before_the_first_call(server: ModelServer) -> None:
    """Three calls are needed."""
    churn = bb.InferenceResource(address=server.address, serving={**ONE_BY_ONE, "max_calls": 2})
    with pytest.raises(BudgetSpent, match="3 calls are needed"):
        churn.predict(rows(25))
    assert server.asked == []


def test_the_workers_share_a_breaker(server: ModelServer, tmp_path: Path) -> None:
    """Two failures open it; who has another ledger has seen but one of them."""
    policy = {"attempts": 1, "breaker_failures": 1, "breaker_rate": 0.01, "breaker_seconds": 60}
    server.fails_after = 0

    def breaker(folder: str) -> str:
        # every run has a resource of its own
        churn = bb.InferenceResource(
            address=server.address,
            serving={"resilience": policy},
            backbeat=bb.BackbeatResource(folder=str(tmp_path / folder), tracking_uri="none"),
        )

        async def state() -> str:
            async with churn.client() as client:
                with pytest.raises(Unreachable):
                    await client.predict(rows(1).to_batches()[0])
                return client.breaker

        return asyncio.run(state())

    found = [breaker("platform"), breaker("other"), breaker("platform")]
    assert found == ["closed", "closed", "open"]


def test_rows_come_in_many_shapes(server: ModelServer) -> None:
    """Arrow, pandas and objects; an index is no column, and no column is dropped."""
    import pandas as pd

    churn = bb.InferenceResource(address=server.address)
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    later = frame[frame["x"] > 0]
    batch = rows(3).to_batches()[0].slice(1)
    for given in (rows(3).slice(1), batch, later, later.to_dict("records")):
        assert churn.predict(given).table.to_pydict() == {"score": [2.0, 4.0]}
    assert server.asked == [[1.0, 2.0]] * 4
    assert len(churn.predict(rows(0)).table) == 0
    for bad in ("rows", [{"x": 1.0}, {"x": 1.0, "y": 2.0}], [{"x": 1.0}, {"x": "one"}]):
        with pytest.raises(InvalidData, match="make no table"):
            churn.predict(bad)


def test_unsure_rows_go_to_another_model(server: ModelServer) -> None:
    """Each row says its route; what the other model costs is counted."""
    server.sure = lambda x: 0.9 if x < 20 else 0.1
    with model_server() as other:
        other.factor = 3
        other.sure = lambda _: 0.95
        churn = bb.InferenceResource(
            address=server.address,
            serving={
                **ONE_BY_ONE,
                "at_least": 0.5,
                "doubtful": other.address,
                "prices": {"a_call": 1.0},
            },
        )
        found = churn.predict(rows(25))
    assert found.table["score"].to_pylist() == [(2.0 if x < 20 else 3.0) * x for x in range(25)]
    assert (found.calls, found.cost, len(found.provenance)) == (4, 4.0, 3)
    assert found.table["route"].to_pylist()[:20] == [found.table["route"][0].as_py()] * 20
    assert found.table["route"][24].as_py() != found.table["route"][0].as_py()


def test_a_client_of_ones_own(server: ModelServer) -> None:
    """In an asynchronous asset, with the resource's policy."""
    churn = bb.InferenceResource(address=server.address, serving=ONE_BY_ONE)

    @dg.asset
    async def scores(churn: bb.InferenceResource) -> dg.MaterializeResult:
        async with churn.client() as client:
            assert client.resilience.in_flight == 1
            found = await client.predict(rows(2).to_batches()[0])
        return dg.MaterializeResult(metadata={"scores": found.outputs.column(0).to_pylist()})

    made = dg.materialize([scores], resources={"churn": churn})
    (told,) = made.asset_materializations_for_node("scores")
    assert told.metadata["scores"].value == [0.0, 2.0]
    capped = bb.InferenceResource(address=server.address, serving={"max_cost": 1.0})
    with pytest.raises(InvalidStep, match="ask by `predict`"):
        capped.client()


def test_a_slip_shows_when_the_definitions_load(server: ModelServer) -> None:
    """A field that no Serving has, and one that only tables have."""
    with pytest.raises(Exception, match="max_call"):
        bb.InferenceResource(address=server.address, serving={"max_call": 3})
    with pytest.raises(Exception, match="use `inference_asset`"):
        bb.InferenceResource(address=server.address, serving={"max_bad_rows": 3})
