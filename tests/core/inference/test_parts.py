"""Rows that are more than one request can hold: asked in parts, answered as one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.data import FolderStore
from backbeat.errors import InvalidData
from backbeat.inference import InferenceClient, Prices, Resilience, Serving, read_scores
from backbeat.inference.answering import answer_rows
from backbeat.inference.message import Request, Response
from backbeat.inference.prediction import input_digest
from backbeat.inference.scoring import Scoring
from backbeat.inference.served import Asking, score_served
from backbeat.inference.tally import Tally

CHAT = "openai+http://127.0.0.1:1/v1/chat/completions?model=m"
PROMPTS = pa.record_batch({"prompt": [f"row {number}" for number in range(40)]})


class Chat:
    """Answers each prompt in capital letters, in OpenAI's words, as many at a time as it is let."""

    def __init__(self, *, refused: str = "") -> None:
        self.refused = refused
        self.asked: list[str] = []
        self.ids: list[str] = []
        self.under_way = self.highest = 0

    async def send(self, request: Request, *, seconds: float) -> Response:
        """One chat completion."""
        if request.method == "GET":
            return Response(status=404)
        prompt = json.loads(b"".join(request.body))["messages"][-1]["content"]
        self.asked.append(prompt)
        self.ids.append(request.headers["x-request-id"])
        self.under_way += 1
        self.highest = max(self.highest, self.under_way)
        await asyncio.sleep(0.001)
        self.under_way -= 1
        headers = {"content-type": "application/json"}
        if prompt == self.refused:
            return Response(status=400, headers=headers, body=b'{"error": {"message": "no"}}')
        message = {"role": "assistant", "content": prompt.upper()}
        choices = [{"index": 0, "finish_reason": "stop", "message": message}]
        usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
        body = {"id": "c", "object": "chat.completion", "model": "m", "choices": choices}
        return Response(
            status=200, headers=headers, body=json.dumps({**body, "usage": usage}).encode()
        )

    async def aclose(self) -> None:
        """Nothing is open."""


async def settle(_: float) -> None:
    """Without a cap."""


def test_a_language_model_is_asked_about_many_rows_one_by_one() -> None:
    """In order, side by side within the policy, each counted and paid."""
    chat, tally = Chat(), Tally(Prices(a_call=0.5))

    async def run() -> Any:
        policy = Resilience(in_flight=4)
        async with InferenceClient(CHAT, transport=chat, resilience=policy) as client:
            return await answer_rows(
                PROMPTS,
                client,
                serving=Serving(),
                column="score",
                request_id="r",
                tally=tally,
                settle=settle,
            )

    table, origin = asyncio.run(run())
    assert table["text"].to_pylist() == [f"ROW {number}" for number in range(40)]
    assert 1 < chat.highest <= 4
    assert sorted(chat.ids) == sorted(f"r-{number}" for number in range(40))
    assert (origin.request_id, origin.attempts) == ("r", 40)
    assert dict(origin.usage) == {"input_tokens": 80, "output_tokens": 120}
    assert origin.input_digest == input_digest(PROMPTS, {})
    assert (tally.calls, tally.cost) == (40, 20.0)


def test_the_first_error_ends_all_parts() -> None:
    """What was not sent yet is not sent any more."""
    chat = Chat(refused="row 1")

    async def run() -> None:
        policy = Resilience(in_flight=2)
        async with InferenceClient(CHAT, transport=chat, resilience=policy) as client:
            await answer_rows(
                PROMPTS,
                client,
                serving=Serving(),
                column="score",
                request_id="r",
                tally=Tally(),
                settle=settle,
            )

    with pytest.raises(InvalidData):
        asyncio.run(run())
    assert len(chat.asked) < 10


class Labels:
    """A small model that labels texts, many in a request, and is sure of the short ones."""

    def __init__(self) -> None:
        self.asked = 0

    async def send(self, request: Request, *, seconds: float) -> Response:
        """What KServe's V1 says."""
        if request.method == "GET":
            headers = {"content-type": "application/json"}
            return Response(status=200, headers=headers, body=b'{"name": "m", "ready": "True"}')
        self.asked += 1
        rows = json.loads(b"".join(request.body))["instances"]
        texts = [row[0] if isinstance(row, list) else row for row in rows]
        found = [
            {"text": "small", "confidence": 0.9 if len(text) < len("row 10") else 0.1}
            for text in texts
        ]
        return Response(
            status=200,
            headers={"content-type": "application/json"},
            body=json.dumps({"predictions": found}).encode(),
        )

    async def aclose(self) -> None:
        """Nothing is open."""


def test_a_language_model_is_asked_about_the_doubtful_rows_of_a_table(tmp_path: Path) -> None:
    """Rows of one request to the first model are one request each to the other."""
    labels, chat, tally, store = Labels(), Chat(), Tally(), FolderStore(tmp_path)
    table = pa.Table.from_batches([PROMPTS]).append_column("id", [list(range(40))])

    async def run() -> None:
        scoring = Scoring(
            data=ds.InMemoryDataset(table),
            input_digest="sha256:i",
            model_version="m",
            store=store,
            output="out",
            keys=["id"],
            features=["prompt"],
            partition=None,
            shard_rows=100,
            parameters={},
        )
        first = InferenceClient("kserve-v1+http://127.0.0.1:1/v1/models/m", transport=labels)
        other = InferenceClient(CHAT, transport=chat)
        async with first, other:
            await score_served(scoring, first, Asking(at_least=0.5), tally=tally, doubtful=other)

    asyncio.run(run())
    found = read_scores(store, "out")
    assert found["route"].to_pylist() == ["accept"] * 10 + ["fallback"] * 30
    assert found["text"].to_pylist()[8:12] == ["small", "small", "ROW 10", "ROW 11"]
    assert (labels.asked, len(chat.asked), tally.calls) == (1, 30, 31)
