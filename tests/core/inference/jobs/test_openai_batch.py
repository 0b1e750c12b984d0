"""The Batch API, word by word: what is sent, what may come back, and how much is held."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pyarrow as pa
import pytest

from backbeat.errors import BackbeatError, InvalidAnswer, InvalidStep, NotFound
from backbeat.inference.jobs import Finding, JobState, Load, job_server, openai_batch_lines
from backbeat.inference.jobs.server import JobServer
from backbeat.inference.protocol import Answer
from backbeat.inference.resilience import Resilience
from backbeat.testing import BatchServer

Found = TypeVar("Found")
QUICK = Resilience(deadline_seconds=5, base_seconds=0.001, cap_seconds=0.002)
NOW = datetime.now(UTC)


def asked(batches: BatchServer, ask: Callable[[JobServer], Awaitable[Found]]) -> Found:
    """What a server answers to one question."""

    async def run() -> Found:
        server = job_server(batches.address, resilience=QUICK)
        try:
            return await ask(server)
        finally:
            await server.aclose()

    return asyncio.run(run())


def load_of(*prompts: str) -> Load:
    """A question a prompt."""
    spans = [(at, at + 1) for at in range(len(prompts))]
    return Load(rows=pa.record_batch({"prompt": list(prompts)}), spans=spans)


def batch_of(batches: BatchServer, *lines: Any, **given: Any) -> Callable[[JobServer], Any]:
    """A batch that has answered with some lines; returns who reads them."""
    batches.files["out"] = b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )
    known = {"id": "b1", "status": "completed", "output_file_id": "out", "created_at": 0}
    batches.batches["b1"] = {**known, "metadata": {}, **given}

    async def read(server: JobServer) -> list[Finding]:
        load = load_of("a", "b", "c", "d")
        return [finding async for finding in server.results("b1", load)]

    return read


def answer(name: str, content: str = "A") -> dict[str, Any]:
    """A good line."""
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"model": "small", "choices": [choice]}
    return {"custom_id": name, "response": {"status_code": 200, "body": body}, "error": None}


def test_what_goes_up_is_a_file_of_lines(batches: BatchServer) -> None:
    """Of any script, and with the row's own parameters; its name is the effect's."""
    load = load_of("Grüße, 世界", 'a "quote"\r\n--backbeat')
    found = asked(batches, lambda server: server.upload("sha256:ab", load))
    lines = [json.loads(line) for line in batches.files[found].decode().splitlines()]
    assert [line["custom_id"] for line in lines] == ["rows-0-1", "rows-1-2"]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    said = [line["body"]["messages"][0]["content"] for line in lines]
    assert said == load.rows["prompt"].to_pylist()


def test_more_than_it_takes_is_refused_before_a_byte_is_sent(
    batches: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions or bytes; the hint says what to make smaller."""
    for limit in ("_MOST_QUESTIONS", "_MOST_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(openai_batch_lines, limit, 2)
            with pytest.raises(InvalidStep, match="A job of 3 questions is more"):
                asked(batches, lambda server: server.upload("e", load_of("a", "b", "c")))
    assert batches.paths == []


def test_it_is_found_on_any_page_that_is_young_enough(batches: BatchServer) -> None:
    """The list is read as far back as the intent, and an hour for the clocks."""

    def batch(number: int, *, hours: float) -> dict[str, Any]:
        at = int(time.time() - hours * 3600)
        told = {"backbeat_effect": f"e{number}"} if number % 2 else None
        return {"id": f"b{number}", "created_at": at, "metadata": told}

    batches.batches = {f"b{n}": batch(n, hours=9 if n < 300 else 0.5) for n in range(550)}
    assert asked(batches, lambda server: server.find("e301", since=NOW)) == "b301"
    assert len(batches.paths) == 3
    assert asked(batches, lambda server: server.find("e1", since=NOW)) is None
    assert len(batches.paths) == 3 + 4
    since = NOW - timedelta(hours=10)
    assert asked(batches, lambda server: server.find("e1", since=since)) == "b1"


@pytest.mark.parametrize(
    "line",
    [
        answer("rows-7-8"),
        answer("somebody-elses"),
        {"custom_id": "rows-0-1", "response": None, "error": None},
        {"response": {"status_code": 200, "body": {}}},
        b"{half",
        b"[]",
    ],
)
def test_what_is_no_answer_of_this_job_is_an_error(batches: BatchServer, line: Any) -> None:
    """No row is guessed at."""
    with pytest.raises(InvalidAnswer):
        asked(batches, batch_of(batches, answer("rows-1-2"), line))


def test_each_row_is_told_apart(batches: BatchServer) -> None:
    """Answered, refused, ill, and never asked."""
    refused = {"status_code": 400, "body": {"error": {"message": "no", "code": "x"}}}
    lines = [
        answer("rows-0-1"),
        {"custom_id": "rows-1-2", "response": refused},
        {"custom_id": "rows-2-3", "response": None, "error": {"code": "batch_expired"}},
        {"custom_id": "rows-3-4", "response": None, "error": {"code": "oops", "message": "ill"}},
    ]
    found = asked(batches, batch_of(batches, *lines))
    kinds = [
        type(each.answer).__name__ if isinstance(each.answer, BackbeatError) else "Answer"
        for each in found
    ]
    assert kinds == ["Answer", "InvalidData", "Unreachable"]


def test_a_file_that_is_cut_is_fetched_again(batches: BatchServer) -> None:
    """And read once."""
    read = batch_of(batches, *[answer(f"rows-{n}-{n + 1}", "long " * 999) for n in range(3)])
    batches.cut = 2
    assert len(asked(batches, read)) == 3
    assert batches.cut == 0


def test_a_status_that_nobody_knows_is_an_error(batches: BatchServer) -> None:
    """It could be the end, and then would be waited for in vain."""
    batch_of(batches, status="paused")
    with pytest.raises(InvalidAnswer, match="b1 is 'paused'"):
        asked(batches, lambda server: server.status("b1"))


def test_to_cancel_what_has_ended_is_no_error(batches: BatchServer) -> None:
    """It stays as it is; one that nobody knows is told."""
    batch_of(batches)
    asked(batches, lambda server: server.cancel("b1"))
    assert asked(batches, lambda server: server.status("b1")).state is JobState.DONE
    with pytest.raises(NotFound):
        asked(batches, lambda server: server.cancel("nobody"))


def test_a_large_file_is_not_held(batches: BatchServer) -> None:
    """Twenty-four megabytes of answers pass through a few."""
    text = "x" * 4000
    batch_of(batches, *[answer("rows-0-1", text)] * 6000)
    assert len(batches.files["out"]) > 24 * 10**6

    async def read(server: JobServer) -> int:
        count = 0
        async for finding in server.results("b1", load_of("a")):
            assert isinstance(finding.answer, Answer)
            count += 1
            if count == 100:
                tracemalloc.reset_peak()
        return count

    tracemalloc.start()
    try:
        held = tracemalloc.get_traced_memory()[0]
        assert asked(batches, read) == 6000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - held < 6 * 2**20
