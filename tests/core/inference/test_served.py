"""Batch scoring by a served model: every row once, in order, whatever happens on the way."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from backbeat.data import FolderStore
from backbeat.errors import BudgetSpent, InvalidAnswer, InvalidData, InvalidStep, Unreachable
from backbeat.inference import read_scores
from backbeat.inference.cap import Cap
from backbeat.inference.client import InferenceClient
from backbeat.inference.prices import Prices
from backbeat.inference.resilience import Resilience
from backbeat.inference.scoring import Scored, Scoring
from backbeat.inference.served import Asking, score_served
from backbeat.inference.tally import Tally
from backbeat.retries.local import LocalBuckets
from backbeat.testing import ModelServer

OUTPUT = "scores/flights/2013-02-11"
QUICK = Resilience(deadline_seconds=5, base_seconds=0.001, cap_seconds=0.002, in_flight=4)


def scored(
    data: ds.Dataset,
    store: FolderStore,
    address: str,
    *,
    tally: Tally | None = None,
    cap: Cap | None = None,
    doubtful: str | None = None,
    policy: Resilience = QUICK,
    shard_rows: int = 30,
    **asking: Any,
) -> tuple[Scored, int]:
    """Score with what a test does not care about filled in."""

    async def run() -> tuple[Scored, int]:
        scoring = Scoring(
            data=data,
            input_digest="sha256:input",
            model_version=address,
            store=store,
            output=OUTPUT,
            keys=["flight_id"],
            features=["x"],
            partition=None,
            shard_rows=shard_rows,
            parameters={},
        )
        client = InferenceClient(
            address, resilience=policy, before_call=cap.before_call if cap else None
        )
        other = InferenceClient(doubtful, resilience=policy) if doubtful else None
        async with AsyncExitStack() as stack:
            for each in (client, other):
                if each is not None:
                    await stack.enter_async_context(each)
            return await score_served(
                scoring,
                client,
                Asking(**{"request_rows": 8, **asking}),
                tally=tally or Tally(),
                doubtful=other,
                settle=cap.settle if cap else None,
            )

    return asyncio.run(run())


def test_every_row_is_scored_once_in_order(
    data: ds.Dataset, store: FolderStore, server: Any
) -> None:
    """Keys, scores and request ids, in the order of the input, however the answers came in."""
    tally = Tally()
    server.seconds = 0.02
    done, repeated = scored(data, store, server.address, tally=tally)
    assert (done.rows, done.shards, done.reused, done.bad, repeated) == (95, 4, 0, 0, 0)
    table = read_scores(store, OUTPUT)
    assert table.column_names == ["flight_id", "score", "request_id", "model_version"]
    assert table["flight_id"].to_pylist() == [f"f{number}" for number in range(95)]
    assert table["score"].to_pylist() == [2.0 * number for number in range(95)]
    assert tally.calls == len(server.asked) == 4 + 4 + 4 + 1
    assert {len(rows) for rows in server.asked} == {8, 6, 5}
    assert 1 < server.highest <= 4
    assert not list(store.keys(f"{OUTPUT}/_pieces/"))


def test_a_second_attempt_asks_nothing(data: ds.Dataset, store: FolderStore, server: Any) -> None:
    """What is scored is not paid again, and the manifest is the same."""
    first, _ = scored(data, store, server.address)
    asked = len(server.asked)
    again, repeated = scored(data, store, server.address)
    assert len(server.asked) == asked
    assert (again.reused, again.digest, repeated) == (4, first.digest, 0)


def test_an_error_keeps_the_answers_that_were_there(
    data: ds.Dataset, store: FolderStore, server: Any
) -> None:
    """The next attempt asks for the rest alone, and says how many calls may have been repeated."""
    server.refused = {50.0}
    with pytest.raises(InvalidData, match=r"refused the rows 46 to 53.*none may be.*such an x"):
        scored(data, store, server.address)
    answered = {x for rows in server.asked if 50.0 not in rows for x in rows}
    assert len(answered) > 30
    server.refused = set()
    server.asked.clear()
    done, repeated = scored(data, store, server.address)
    assert not answered & {x for rows in server.asked for x in rows}
    assert 0 < repeated <= 4
    assert done.rows == 95
    assert read_scores(store, OUTPUT)["score"].to_pylist() == [2.0 * n for n in range(95)]


@pytest.fixture
def broken(
    monkeypatch: pytest.MonkeyPatch, serving: Callable[[], Any]
) -> Callable[[set[float]], Any]:
    """Starts a server whose answer is cut where it is asked about one of these."""

    def start(xs: set[float]) -> Any:
        answered = ModelServer.predict

        async def predict(self: ModelServer, request: web.Request) -> web.Response:
            asked = {
                row[0] if isinstance(row, list) else row
                for row in (await request.json())["instances"]
            }
            found = await answered(self, request)
            if not xs & asked:
                return found
            assert isinstance(found.body, bytes)
            return web.Response(body=found.body[:-4], content_type="application/json")

        monkeypatch.setattr(ModelServer, "predict", predict)
        return serving()

    return start


def test_rows_that_are_answered_wrongly_go_to_a_side_file(
    data: ds.Dataset, store: FolderStore, broken: Callable[[set[float]], Any]
) -> None:
    """They are found as refused ones are, and do not end the night."""
    server = broken({3.0, 50.0})
    done, _ = scored(data, store, server.address, max_bad_rows=2)
    assert (done.rows, done.bad) == (95, 2)
    assert len(read_scores(store, OUTPUT)) == 93
    files = store.keys(f"{OUTPUT}/_bad/")
    bad = pa.concat_tables([pq.read_table(store.root / key) for key in files])
    assert bad["flight_id"].to_pylist() == ["f3", "f50"]
    assert set(bad["error"].to_pylist()) == {"InvalidAnswer"}


def test_more_wrong_answers_than_may_be_are_an_error(
    data: ds.Dataset, store: FolderStore, broken: Callable[[set[float]], Any]
) -> None:
    """It says which rows, and is no refusal."""
    server = broken({50.0})
    with pytest.raises(InvalidAnswer, match="answered wrongly about the rows 46 to 53"):
        scored(data, store, server.address)


@pytest.mark.parametrize("request_rows", [1, 8, 256])
def test_a_model_that_answers_nothing_rightly_has_no_bad_rows(
    data: ds.Dataset,
    store: FolderStore,
    broken: Callable[[set[float]], Any],
    request_rows: int,
) -> None:
    """A server of another protocol fails the step, soon, and the next attempt asks for all."""
    wrong = {float(number) for number in range(95)}
    server = broken(wrong)
    with pytest.raises(InvalidAnswer, match="Not one row was answered as the protocol promises"):
        scored(data, store, server.address, max_bad_rows=95, request_rows=request_rows)
    assert len(server.asked) < 95
    wrong.clear()
    done, _ = scored(data, store, server.address, max_bad_rows=95, request_rows=request_rows)
    assert (done.rows, done.bad) == (95, 0)


def test_the_first_row_may_be_the_bad_one(
    data: ds.Dataset, store: FolderStore, broken: Callable[[set[float]], Any]
) -> None:
    """It waits for a right answer to be called bad, and is in its place then."""
    server = broken({0.0, 1.0, 94.0})
    done, _ = scored(data, store, server.address, max_bad_rows=3, request_rows=1)
    assert (done.rows, done.bad) == (95, 3)
    scores = read_scores(store, OUTPUT)["score"].to_pylist()
    assert scores == [2.0 * n for n in range(2, 94)]


def test_refused_rows_go_to_a_side_file(data: ds.Dataset, store: FolderStore, server: Any) -> None:
    """They are found by halving, told with their error, and missing from the output alone."""
    server.refused = {3.0, 50.0, 51.0}
    done, _ = scored(data, store, server.address, max_bad_rows=3)
    assert (done.rows, done.bad) == (95, 3)
    table = read_scores(store, OUTPUT)
    assert table["score"].to_pylist() == [2.0 * n for n in range(95) if n not in {3, 50, 51}]
    files = store.keys(f"{OUTPUT}/_bad/")
    bad = pa.concat_tables([pq.read_table(store.root / key) for key in files])
    assert bad["flight_id"].to_pylist() == ["f3", "f50", "f51"]
    assert set(bad["error"].to_pylist()) == {"InvalidData"}
    assert all("such an x cannot be" in text for text in bad["message"].to_pylist())


def test_more_bad_rows_than_may_be_end_the_work(
    data: ds.Dataset, store: FolderStore, server: Any
) -> None:
    """A night whose data is bad is not scored around it; the rows are named."""
    server.refused = {3.0, 50.0, 51.0}
    with pytest.raises(InvalidData, match="2 were bad before, as many as may be"):
        scored(data, store, server.address, max_bad_rows=2)
    assert not store.exists(f"{OUTPUT}/manifest.json")


def test_side_files_count_in_the_next_attempt(
    data: ds.Dataset, store: FolderStore, server: Any
) -> None:
    """The limit holds over attempts, not for each anew."""
    server.refused = {3.0, 90.0}
    policy = QUICK.model_copy(update={"in_flight": 1})
    with pytest.raises(InvalidData):
        scored(data, store, server.address, max_bad_rows=1, policy=policy)
    with pytest.raises(InvalidData):
        scored(data, store, server.address, max_bad_rows=1, policy=policy)
    done, _ = scored(data, store, server.address, max_bad_rows=2, policy=policy)
    assert done.bad == 2


def test_unsure_answers_go_to_another_model_or_to_people(
    data: ds.Dataset, store: FolderStore, serving: Callable[[], Any]
) -> None:
    """Below the bar a row is asked elsewhere, and its version says where; else it is for review."""
    first, second = serving(), serving()
    first.sure = lambda x: 0.5 if x % 10 == 0 else 0.9
    second.sure = lambda x: 0.99
    second.factor = 3
    scored(data, store, first.address, at_least=0.8, doubtful=second.address)
    table = read_scores(store, OUTPUT).to_pylist()
    for number, row in enumerate(table):
        unsure = number % 10 == 0
        assert row["score"] == number * (3 if unsure else 2)
        assert row["route"] == ("fallback" if unsure else "accept")
        assert row["confidence"] == (0.99 if unsure else 0.9)
        assert row["model_version"] == (second.address if unsure else first.address)
    scored(data, store, first.address, at_least=0.8, shard_rows=40)
    routes = read_scores(store, OUTPUT)["route"].to_pylist()
    assert [n for n, route in enumerate(routes) if route == "review"] == list(range(0, 95, 10))


def test_a_model_without_confidence_cannot_route(
    data: ds.Dataset, store: FolderStore, server: Any
) -> None:
    """Nothing is accepted because nobody could say how sure the model is."""
    with pytest.raises(InvalidStep, match="gives no confidence"):
        scored(data, store, server.address, at_least=0.8)
    assert not store.exists(f"{OUTPUT}/manifest.json")


def test_a_cap_on_calls_counts_over_attempts(
    data: ds.Dataset, store: FolderStore, server: Any
) -> None:
    """Nothing is sent beyond it, what was answered is kept, and a raised cap goes on."""
    shared = LocalBuckets()

    async def cap(most: int) -> Cap:
        return Cap("nightly:r1:score", lambda: shared, max_calls=most)  # type: ignore[arg-type,return-value]

    policy = QUICK.model_copy(update={"in_flight": 1})
    with pytest.raises(BudgetSpent, match="max_calls=5"):
        scored(data, store, server.address, cap=asyncio.run(cap(5)), policy=policy)
    assert len(server.asked) == 5
    with pytest.raises(BudgetSpent, match="max_calls=5"):
        scored(data, store, server.address, cap=asyncio.run(cap(5)), policy=policy)
    assert len(server.asked) == 5
    done, _ = scored(data, store, server.address, cap=asyncio.run(cap(8)), policy=policy)
    assert len(server.asked) == 13
    assert done.rows == 95


def test_a_cap_on_cost_stops_before_it_is_passed(
    data: ds.Dataset, store: FolderStore, server: Any
) -> None:
    """With one call under way at a time, no more is spent than may be."""
    shared = LocalBuckets()
    tally = Tally(Prices(a_call=1.0))
    cap = Cap("nightly:r2:score", lambda: shared, max_cost=4.5)  # type: ignore[arg-type,return-value]
    policy = QUICK.model_copy(update={"in_flight": 1})
    with pytest.raises(BudgetSpent, match=r"max_cost=4\.5"):
        scored(data, store, server.address, cap=cap, tally=tally, policy=policy)
    assert tally.cost == 4.0


def test_a_server_that_goes_away_keeps_what_was_answered(
    data: ds.Dataset, store: FolderStore, server: Any
) -> None:
    """The error can be retried, and the retry goes on."""
    server.failing = []
    policy = QUICK.model_copy(update={"attempts": 1, "in_flight": 1})

    def fails_after(count: int) -> None:
        server.fails_after = count

    fails_after(6)
    with pytest.raises(Unreachable):
        scored(data, store, server.address, policy=policy)
    server.fails_after = None
    before = len(server.asked)
    done, repeated = scored(data, store, server.address, policy=policy)
    assert done.rows == 95
    assert repeated == 1
    assert len(server.asked) - before == 13 - 6


def test_empty_input_gives_an_empty_output(
    store: FolderStore, server: Any, data: ds.Dataset
) -> None:
    """No row, no call; the manifest says so."""
    empty = ds.dataset(data.to_table().slice(0, 0))
    done, _ = scored(empty, store, server.address)
    assert (done.rows, len(server.asked)) == (0, 0)
    assert len(read_scores(store, OUTPUT)) == 0


_WORKER = """
import sys
sys.path.insert(0, sys.argv[3])
import pyarrow.dataset as ds
from pathlib import Path
from backbeat.data import FolderStore
import test_served
data = ds.dataset([ds.dataset(file) for file in sorted(Path(sys.argv[2]).iterdir())])
done, repeated = test_served.scored(data, FolderStore(Path(sys.argv[1])), sys.argv[4])
print(done.rows, repeated)
"""


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_worker_repeats_no_more_than_was_under_way(
    data: ds.Dataset, store: FolderStore, server: Any, seed: int, tmp_path: Any
) -> None:
    """After SIGKILL at any point every row is there once, and few calls were made twice."""
    server.seconds = 0.02
    here = Path(__file__).parent
    words = [sys.executable, "-c", _WORKER, store.root, tmp_path / "landing", here, server.address]
    kills = 0
    for count in (2 + seed, 6 + seed, 9 + seed):
        worker = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while len(server.asked) < count + kills and worker.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.002)
        if worker.poll() is None:
            worker.send_signal(signal.SIGKILL)
            kills += 1
        worker.wait()
    done, _ = scored(data, store, server.address)
    assert done.rows == 95
    assert read_scores(store, OUTPUT)["score"].to_pylist() == [2.0 * n for n in range(95)]
    assert len(server.asked) <= 13 + kills * QUICK.in_flight
