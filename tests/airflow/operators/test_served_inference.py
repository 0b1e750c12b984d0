"""A table scored by a served model, in a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backbeat import embedded
from backbeat.errors import InvalidStep, Unreachable
from backbeat.inference import Resilience, Serving, read_scores
from backbeat.testing import ModelServer, model_server
from backbeat_provider.operators import BatchInferenceOperator

Context = Callable[..., dict[str, Any]]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A real model server."""
    with model_server() as running:
        yield running


def task(folder: Path, address: str, **serving: Any) -> BatchInferenceOperator:
    """The scoring of a table of fifty rows."""
    path = folder / "store" / "day.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": list(range(50)), "x": [float(n) for n in range(50)]}), path)
    policy = Resilience(deadline_seconds=5, attempts=1, in_flight=1)
    return BatchInferenceOperator(
        task_id="score",
        model=address,
        data="day.parquet",
        output_key="scores/day",
        key=["id"],
        serving=Serving(request_rows=10, resilience=policy, **serving),
    )


def test_a_task_scores_by_a_served_model_and_a_retry_goes_on(
    folder: Path, context: Context, server: ModelServer
) -> None:
    """The first attempt dies with its server; the second asks for the rest alone."""
    server.fails_after = 3
    first = task(folder, server.address)
    with pytest.raises(Unreachable):
        first.execute(context(first))
    server.fails_after = None
    value = first.execute(context(first, try_number=2))
    assert (value["rows"], value["calls"], value["repeated"]) == (50, 2, 1)
    scores = read_scores(embedded(folder).store, "scores/day")
    assert scores["score"].to_pylist() == [2.0 * n for n in range(50)]


def test_who_we_are_is_an_airflow_connection(
    folder: Path, context: Context, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its password is the bearer; with a login it is that one's password."""
    monkeypatch.setenv("AIRFLOW_CONN_MY_MODEL", '{"conn_type": "http", "password": "s3cret-token"}')
    scoring = task(folder, server.address, credentials="my_model")
    scoring.execute(context(scoring))
    assert {sent["authorization"] for sent in server.headers} == {"Bearer s3cret-token"}


def test_a_slip_in_an_address_shows_when_the_file_is_parsed(folder: Path) -> None:
    """Like every literal."""
    with pytest.raises(InvalidStep, match="did you mean kserve-v1"):
        task(folder, "kserve-v2+http://127.0.0.1:1/v1/models/m")
