"""BatchInference by remote jobs: one job a shard, every row once, in the order of the input."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from jobs_scored import step_of

from backbeat import Done, Platform, Waiting, embedded
from backbeat.errors import (
    BackbeatError,
    BudgetSpent,
    Conflict,
    InvalidData,
    InvalidStep,
    LeaseHeld,
    NotFound,
    Overloaded,
    Refused,
    Unreachable,
)
from backbeat.inference import read_scores
from backbeat.ports import Budget
from backbeat.testing import BatchServer

ROWS = 25
SAID = [f"SAY {number}" for number in range(ROWS)]
OVER = {"completed", "failed", "expired", "cancelled"}


def said(platform: Platform) -> list[str]:
    """What is in the output, in its order."""
    found: list[str] = read_scores(platform.store, "scores/day")["text"].to_pylist()
    return found


def cancel(batches: BatchServer) -> None:
    """What a person does on the server's own page."""
    for batch in batches.batches.values():
        if batch["status"] in {"validating", "in_progress"}:
            batch["status"] = "cancelling"
            batch["request_counts"]["total"] = ROWS


def picky(batches: BatchServer, refused: Callable[[str], bool]) -> Callable[[Any], Any]:
    """A model that refuses some prompts."""
    answer = batches.answer

    def answered(body: Any) -> Any:
        if refused(body["messages"][-1]["content"]):
            return 400, {"error": {"message": "ordered by the test", "code": "invalid_value"}}
        return answer(body)

    return answered


def test_a_table_is_scored_by_one_job(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """The rows come back in their order, though the server's files do not; rung 0 is enough."""
    done = score(serving={"prices": {"a_million_output_tokens": 1.0}})
    assert isinstance(done, Done)
    (job,) = batches.batches
    assert {**done.value, "digest": ""} == {
        "output": "scores/day",
        "rows": ROWS,
        "shards": 1,
        "reused": 0,
        "digest": "",
        "model": batches.address,
        "version": "",
        "bad": 0,
        "calls": ROWS,
        "cost": 0.000125,
        "jobs": [job],
    }
    assert (done.metrics["input_tokens"], done.metrics["output_tokens"]) == (250, 125)
    scores = read_scores(platform.store, "scores/day")
    assert scores["id"].to_pylist() == [f"i{number}" for number in range(ROWS)]
    assert scores["text"].to_pylist() == SAID
    assert scores["request_id"][3].as_py() == f"{job}/rows-3-4"
    manifest = json.loads(platform.store.read("scores/day/manifest.json"))
    assert manifest["provenance"][0]["jobs"] == job


def test_each_shard_is_a_job_and_so_many_are_under_way(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """No more than are allowed; the next is submitted when the oldest is collected."""
    under_way: set[int] = set()

    def look(_done: int, _total: int, _what: str) -> None:
        under_way.add(sum(state not in OVER for state in batches.states))

    platform.progress = look
    done = score(shard_rows=10, serving={"jobs": {"poll_seconds": 0.01, "at_a_time": 2}})
    assert (done.value["shards"], done.value["jobs"]) == (3, list(batches.batches))
    assert max(under_way) == 2
    assert said(platform) == SAID


def test_another_run_asks_for_nothing_that_is_there(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """The shards are keyed by content; other parameters are another job."""
    score()
    again = score(run="r2")
    assert (again.value["reused"], again.value["jobs"], len(batches.batches)) == (1, [], 1)
    score(run="r3", serving={"parameters": {"temperature": 0}})
    assert len(batches.batches) == 2


def test_an_answer_that_is_lost_starts_no_second_job(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """The server's list is searched for the effect's id before anything is sent again."""
    batches.lost = 1
    score()
    assert len(batches.batches) == 1
    created = [told for told in batches.headers if "idempotency-key" in told]
    (batch,) = batches.batches.values()
    assert batch["metadata"] == {"backbeat_effect": created[0]["idempotency-key"]}


def test_a_server_that_hides_metadata_may_start_a_second_job(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """What remains of the window, as docs/crash-windows.md says: it is paid twice, written once."""
    batches.lost, batches.forgetful = 1, True
    score()
    assert len(batches.batches) == 2
    assert said(platform) == SAID


def test_what_a_job_has_not_answered_in_time_is_asked_by_the_next(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """An expired job's answers count; no row is asked about twice."""
    batches.expires_after = [10]
    done = score()
    first, second = batches.asked.values()
    assert (len(first), len(second), done.value["calls"]) == (ROWS, ROWS - 10, ROWS)
    assert said(platform) == SAID


def test_a_job_that_expires_again_and_again_is_an_error(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """After so many tries; a later attempt goes on with what is left."""
    batches.expires_after = [4, 4]
    serving = {"jobs": {"poll_seconds": 0.01, "tries": 2}}
    with pytest.raises(Unreachable, match=r"17 questions have no answer after 2 jobs"):
        score(serving=serving)
    done = score(serving=serving, attempt=2)
    assert [len(asked) for asked in batches.asked.values()] == [25, 21, 17]
    assert done.value["jobs"] == list(batches.batches)
    assert said(platform) == SAID


def test_a_job_that_somebody_cancels_is_not_started_again_behind_their_back(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """The attempt that waits for it fails for good; the next one asks for the rest."""
    platform.progress = lambda _done, _total, _what: cancel(batches)
    with pytest.raises(Conflict, match=r"batch_2 was cancelled"):
        score()
    platform.progress = None
    score(attempt=2)
    assert [len(asked) for asked in batches.asked.values()] == [25, 13]
    assert said(platform) == SAID


@pytest.mark.parametrize(
    ("code", "error", "retryable"),
    [
        ("token_limit_exceeded", Overloaded, True),
        ("model_not_found", NotFound, False),
        ("insufficient_quota", Refused, False),
        ("invalid_json_line", InvalidData, False),
    ],
)
def test_a_job_that_fails_says_why(
    score: Callable[..., Any],
    platform: Platform,
    batches: BatchServer,
    code: str,
    error: type[BackbeatError],
    retryable: bool,
) -> None:
    """And whether trying again can help; the next attempt submits it again."""
    batches.invalid = [code]
    with pytest.raises(
        error, match=rf"batch_2 failed: ordered by the test: {code} \(line 1\)"
    ) as told:
        score()
    assert told.value.retryable is retryable
    assert score(attempt=2).value["rows"] == ROWS
    assert batches.states == ["failed", "completed"]


def test_rows_that_the_model_refuses_go_to_a_side_file(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """As many as may be; the answers to the others stay with the server until then."""
    batches.answer = picky(batches, lambda prompt: prompt.endswith("3"))
    with pytest.raises(InvalidData, match=r"refused the row 3 .*ordered"):
        score(serving={"max_bad_rows": 2})
    done = score(serving={"max_bad_rows": 3}, attempt=2)
    assert (done.value["bad"], len(batches.batches)) == (3, 1)
    assert said(platform) == [each for each in SAID if not each.endswith("3")]
    manifest = json.loads(platform.store.read("scores/day/manifest.json"))
    (side,) = manifest["bad"]
    path = platform.store.files(f"scores/day/{side['file']}")[0].path
    refused = pq.read_table(path)
    assert refused["id"].to_pylist() == ["i3", "i13", "i23"]
    assert set(refused["error"].to_pylist()) == {"InvalidData"}


def test_rows_that_met_an_error_are_asked_again(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """In the next job, and only they; what stays so is the error of the attempt."""
    failing = 2

    def moody(body: Any) -> Any:
        ill = body["messages"][0]["content"] == "say 7" and len(batches.batches) <= failing
        return (500, {"error": {"message": "ordered"}}) if ill else answer(body)

    answer, batches.answer = batches.answer, moody
    score()
    assert [len(asked) for asked in batches.asked.values()] == [25, 1, 1]
    assert said(platform) == SAID
    failing = 99
    with pytest.raises(Unreachable, match="ordered"):
        score(serving={"parameters": {"seed": 1}})


def test_work_that_does_not_fit_under_its_cap_is_not_submitted(
    score: Callable[..., Any], batches: BatchServer
) -> None:
    """Neither a file nor a job is made; and the cap counts over attempts."""
    with pytest.raises(BudgetSpent, match="25 calls are needed without any retry"):
        score(serving={"max_calls": 24})
    with pytest.raises(BudgetSpent, match=r"25 calls cost 12.5 at least, and max_cost is 12"):
        score(serving={"max_cost": 12.0, "prices": {"a_call": 0.5}})
    assert batches.paths == []
    batches.expires_after = [10]
    with pytest.raises(BudgetSpent, match="max_calls=30"):
        score(serving={"max_calls": 30})
    assert len(batches.batches) == 1


def test_what_the_answers_have_cost_is_taken_from_the_cap(
    score: Callable[..., Any], batches: BatchServer
) -> None:
    """Tokens are known when they are counted: then the next job has less, or nothing."""
    prices = {"a_million_output_tokens": 200_000.0, "a_call": 0.1}
    serving = {"max_cost": 10.0, "prices": prices, "jobs": {"poll_seconds": 0.01, "at_a_time": 1}}
    with pytest.raises(BudgetSpent, match="max_cost=10"):
        score(serving=serving, shard_rows=13)
    assert len(batches.batches) == 1


def test_a_server_that_is_away_for_a_while_is_waited_for(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """A job of hours does not end with the first look that fails."""

    def away(_done: int, _total: int, _what: str) -> None:
        platform.progress = None
        batches.failing = [(503, {})] * 9

    platform.progress = away
    assert score().value["rows"] == ROWS
    assert (batches.failing, len(batches.batches)) == ([], 1)


def test_a_task_that_is_killed_cancels_its_jobs(
    score: Callable[..., Any],
    platform: Platform,
    batches: BatchServer,
    killed: Callable[..., Any],
) -> None:
    """All that are under way; the next attempt asks for what they left."""
    batches.held = True
    platform.progress = killed
    with pytest.raises(Killed):
        score(shard_rows=10)
    assert batches.states == ["cancelling"] * 3
    platform.progress, batches.held = None, False
    score(shard_rows=10, attempt=2)
    assert [len(asked) for asked in batches.asked.values()] == [10, 5, 10, 5]
    assert said(platform) == SAID


def test_a_task_that_is_killed_while_it_submits_cancels_that_job(
    score: Callable[..., Any],
    batches: BatchServer,
    monkeypatch: pytest.MonkeyPatch,
    killed: Callable[..., Any],
) -> None:
    """Though nobody has told it the job's id: the server's list does."""

    def record(*_: Any) -> None:
        killed()
        time.sleep(1)
        raise AssertionError("it was not killed")

    monkeypatch.setattr("backbeat.inference.jobs.notes.Notes.record", record)
    with pytest.raises(Killed):
        score()
    assert batches.states == ["cancelling"]


@pytest.mark.parametrize("waited_for", [None, ()], ids=["waits", "parks"])
def test_what_a_kill_is_still_cancelling_is_no_error_of_the_next_attempt(
    score: Callable[..., Any],
    platform: Platform,
    batches: BatchServer,
    killed: Callable[..., Any],
    waited_for: Any,
) -> None:
    """A server takes its time to cancel; and the attempt after a clear may be faster."""
    batches.held = True
    platform.progress = killed
    with pytest.raises(Killed):
        score()
    assert batches.states == ["cancelling"]
    platform.progress, batches.held = None, False
    found = score(attempt=2, waited_for=waited_for)
    for _ in range(5):
        if isinstance(found, Waiting):
            found = score(attempt=2, waited_for=[job.id for job in found.jobs])
    assert found.value["rows"] == ROWS
    assert [len(asked) for asked in batches.asked.values()] == [25, 13]
    assert said(platform) == SAID


def test_an_error_cancels_nothing(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """The next attempt finds the job where it is."""
    batches.held = True
    platform.progress = broken  # type: ignore[assignment]
    with pytest.raises(RuntimeError):
        score()
    assert batches.states == ["in_progress"]
    platform.progress, batches.held = None, False
    score(attempt=2)
    assert len(batches.batches) == 1


@pytest.mark.parametrize("ledger", [False, True])
def test_jobs_can_be_waited_for_elsewhere(
    score: Callable[..., Any],
    tmp_path: Path,
    platform: Platform,
    batches: BatchServer,
    ledger: bool,
) -> None:
    """Waiting names them without a secret; performing again collects, with a ledger or without."""
    on = embedded(tmp_path / "platform", ledger=ledger, registry=False)
    batches.held = True
    parked = score(waited_for=(), on=on)
    assert isinstance(parked, Waiting)
    (job,) = parked.jobs
    assert (job.id, job.address, job.credentials) == ("batch_2", batches.address, "")
    assert score(waited_for=(), on=on) == parked
    batches.held = False
    for _ in range(3):
        ended = score(waited_for=(job.id,), on=on)
    assert isinstance(ended, Done)
    assert len(batches.batches) == 1
    assert said(on) == SAID


def test_a_parked_attempt_meets_what_became_of_its_job(
    score: Callable[..., Any], batches: BatchServer
) -> None:
    """Cancelled meanwhile, it is this attempt's end; another attempt submits the rest."""
    batches.held = True
    parked = score(waited_for=())
    cancel(batches)
    waited_for = [job.id for job in parked.jobs]
    with pytest.raises(Conflict, match="was cancelled"):
        score(waited_for=waited_for)
    batches.held = False
    assert isinstance(score(waited_for=(), attempt=2), Waiting)
    assert len(batches.batches) == 2


def test_parked_attempts_do_not_go_on_for_ever(
    score: Callable[..., Any], batches: BatchServer
) -> None:
    """The jobs that this attempt has waited for count as its tries."""
    batches.answer = lambda _body: (500, {"error": {"message": "ordered"}})
    waited: list[str] = []

    def parked() -> None:
        for _ in range(99):
            waited.extend(job.id for job in score(waited_for=waited).jobs)

    with pytest.raises(Unreachable, match="ordered"):
        parked()
    assert len(batches.batches) == 3


def test_a_bearer_goes_along_and_nowhere_into_the_record(
    score: Callable[..., Any],
    batches: BatchServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """To files and to batches alike; it is in no file of the platform, and in no error."""
    batches.secret = "hunter2-0123456789"  # noqa: S105 - the test's own
    with pytest.raises(Refused) as told:
        score()
    assert "hunter2" not in str(told.value)
    monkeypatch.setenv("BACKBEAT_CREDENTIALS_LLM", '{"bearer": "hunter2-0123456789"}')
    score(serving={"credentials": "llm"}, attempt=2)
    kept = [path for path in (tmp_path / "platform").rglob("*") if path.is_file()]
    assert kept
    assert not any(b"hunter2" in path.read_bytes() for path in kept)


def test_embeddings_are_asked_for_some_rows_at_a_time(
    score: Callable[..., Any], platform: Platform, batches: BatchServer
) -> None:
    """Where one of a question's rows is refused, each of them is asked alone in the next job."""

    def picky_vectors(body: Any) -> Any:
        if "say 7" in body["input"]:
            return 400, {"error": {"message": "ordered"}}
        return answer(body)

    answer, batches.answer = batches.answer, picky_vectors
    table = pq.read_table(platform.store.files("day.parquet")[0].path)
    with platform.store.writing("texts.parquet") as path:
        pq.write_table(table.rename_columns(["id", "input"]), path)
    done = score(
        model=f"{batches.address}&endpoint=/v1/embeddings",
        data="texts.parquet",
        serving={"request_rows": 10, "max_bad_rows": 1},
    )
    assert [len(asked) for asked in batches.asked.values()] == [3, 10]
    assert (done.value["bad"], done.value["calls"]) == (1, 11)
    assert len(read_scores(platform.store, "scores/day")["said"]) == ROWS - 1


@pytest.fixture
def interrupted(
    score: Callable[..., Any], platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """An attempt on another host that has ended right before or right after it has submitted."""

    def end(*, before: bool, ago: float) -> None:
        server = "backbeat.inference.jobs.openai_batch.OpenAIBatch.submit"
        notes = "backbeat.inference.jobs.notes.Notes.record"
        with monkeypatch.context() as patch:
            patch.setattr(server if before else notes, broken)
            with pytest.raises(RuntimeError):
                score()
        (note,) = platform.store.keys("scores/day/_jobs/")
        at = datetime.now(UTC) - timedelta(seconds=ago)
        told = {"at": at.isoformat(), "owner": "another-host/1/2"}
        platform.store.write(note, json.dumps(told).encode())

    return end


def test_only_one_worker_submits(
    score: Callable[..., Any], batches: BatchServer, interrupted: Callable[..., None]
) -> None:
    """Without a ledger too: who may be submitting right now, on another host, is waited for."""
    interrupted(before=True, ago=10)
    with pytest.raises(LeaseHeld) as told:
        score(attempt=2)
    assert told.value.retry_after == pytest.approx(50, abs=5)
    assert batches.states == []


@pytest.mark.parametrize(("before", "ago"), [(True, 61), (False, 10), (False, 61)])
def test_a_worker_that_died_leaves_one_job(
    score: Callable[..., Any],
    batches: BatchServer,
    interrupted: Callable[..., None],
    before: bool,
    ago: float,
) -> None:
    """One that is there is taken at once; where there is none, one is submitted."""
    interrupted(before=before, ago=ago)
    score(attempt=2)
    assert len(batches.batches) == 1


def test_a_job_that_was_over_before_anybody_waited_is_no_error(
    score: Callable[..., Any],
    platform: Platform,
    batches: BatchServer,
    interrupted: Callable[..., None],
) -> None:
    """Found in the server's list though it is, and though the first look meets an error."""
    batches.held = True
    interrupted(before=False, ago=61)
    cancel(batches)
    batches.batches["batch_2"]["status"] = "cancelled"
    batches.held = False
    found = score(waited_for=(), attempt=2)
    batches.failing = [(503, {})] * 4
    for _ in range(5):
        if isinstance(found, Waiting):
            found = score(attempt=2, waited_for=[job.id for job in found.jobs])
    assert len(batches.batches) == 2
    assert said(platform) == SAID


def test_what_a_parked_attempt_has_cost_is_taken_from_the_cap(
    score: Callable[..., Any], tmp_path: Path, platform: Platform, batches: BatchServer
) -> None:
    """Once, whichever attempt collects; in the ledger it counts for the next job, too."""
    on = embedded(tmp_path / "platform", registry=False)
    prices = {"a_million_output_tokens": 100_000.0}
    serving = {"max_cost": 20.0, "prices": prices, "jobs": {"at_a_time": 1}}
    found = score(on=on, waited_for=(), serving=serving, shard_rows=13)
    for _ in range(8):
        if isinstance(found, Waiting):
            waited_for = [job.id for job in found.jobs]
            found = score(on=on, waited_for=waited_for, serving=serving, shard_rows=13)
    assert found.value["shards"] == 2
    left = Budget("cost:nightly:r1:score:20.0", capacity=20.0)
    # 25 answers of 5 tokens at a tenth
    assert on.ledger.spend(left, cost=7.4)
    assert not on.ledger.spend(left, cost=0.2)


class Killed(BaseException):
    """What an orchestrator's handler of a signal raises; Dagster's and Airflow's are such, too."""


@pytest.fixture
def killed() -> Iterator[Callable[..., Any]]:
    """Sends this process the signal that ends a task, as soon as it is called."""

    def handle(_number: int, _frame: Any) -> None:
        raise Killed

    before = signal.signal(signal.SIGTERM, handle)
    yield lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


def broken(*_: Any) -> str:
    """An error in the middle of something."""
    raise RuntimeError


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "openai-batch+http://127.0.0.1:1/v1/batches"}, "does not say which model"),
        ({"model": "openai-batch+http://127.0.0.1:1/v1/files?model=m"}, "does not end in /batches"),
        ({"model": "openai-batch+http://127.0.0.1:1/v1/batches?model=m&rows=1"}, "other options"),
        (
            {"model": "openai-batch+http://127.0.0.1:1/v1/batches?model=m&endpoint=/v1/files"},
            "another endpoint than",
        ),
        ({"model": "openai-batch+http://ana:x@127.0.0.1/v1/batches?model=m"}, "holds credentials"),
        (
            {"serving": {"fallback": "kserve-v1+http://h/v1/models/m"}},
            "no `fallback` and no `doubtful`",
        ),
        ({"serving": {"jobs": {"poll_seconds": 0}}}, "poll_seconds"),
    ],
)
def test_slips_are_refused_when_the_step_is_built(fields: dict[str, Any], says: str) -> None:
    """In a DAG file, that is when it is parsed."""
    with pytest.raises(InvalidStep, match=says):
        step_of(
            **{"address": fields.pop("model", "openai-batch+http://h/v1/batches?model=m"), **fields}
        )
