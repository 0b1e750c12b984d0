"""OpenAI's API held against real servers of it: texts, embeddings, keys and limits."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import texts
from asking import Model

from backbeat.data import FolderStore
from backbeat.errors import (
    InvalidAnswer,
    InvalidData,
    NotFound,
    Overloaded,
    Refused,
    Unreachable,
)
from backbeat.inference import read_scores
from backbeat.inference.client import InferenceClient
from backbeat.inference.connecting import connect
from backbeat.inference.prediction import Prediction
from backbeat.inference.scoring import Scored, Scoring
from backbeat.inference.served import Asking, score_served
from backbeat.inference.tally import Tally

QUESTION = pa.record_batch({"prompt": ["Is the flight to Boston late?"]})
SAME = {"temperature": 0, "seed": 7, "max_tokens": 8}
SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "minutes": {"type": "integer"}},
    "required": ["label", "minutes"],
    "additionalProperties": False,
}


def _unknown(model: Model) -> Model:
    """The same server's address of a model that it does not have."""
    return replace(model, address=f"{model.address.partition('?')[0]}?model=nope")


@pytest.mark.address("chat", "embeddings")
def test_a_model_that_is_listed_is_ready(model: Model) -> None:
    """And the one that is not listed is not found."""
    assert model.ready()
    with pytest.raises(NotFound):
        _unknown(model).ready()


@pytest.mark.address("chat")
def test_the_same_prompt_gets_the_same_text(model: Model) -> None:
    """At temperature 0, with a seed; and the answer says which model gave it."""
    first, second = model.predict(QUESTION, SAME), model.predict(QUESTION, SAME)
    assert first.outputs.equals(second.outputs)
    (row,) = first.outputs.to_pylist()
    assert row["text"]
    assert row["finish_reason"] in {"stop", "length"}
    assert row["refusal"] is None
    assert first.model.startswith(model.endpoint.options["model"])


@pytest.mark.address("chat")
def test_tokens_are_counted(model: Model) -> None:
    """By the server: those of the question and those of the answer."""
    usage = model.predict(QUESTION, SAME).usage
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0


@pytest.mark.address("chat")
def test_a_prompt_is_a_conversation_of_one_message(model: Model) -> None:
    """Written out as messages it gets the same answer."""
    messages = [{"role": "user", "content": QUESTION.column(0)[0].as_py()}]
    written = pa.record_batch({"messages": [json.dumps(messages)]})
    same = model.predict(written, SAME).outputs
    assert same.equals(model.predict(QUESTION, SAME).outputs)


@pytest.mark.address("facts")
def test_an_answer_of_a_schema_is_parsed(model: Model) -> None:
    """As canonical JSON, whatever blanks and order the model wrote."""
    answer = model.predict(QUESTION, {"schema": SCHEMA})
    assert answer.outputs.column("json").to_pylist() == ['{"label":"late","minutes":12}']


@pytest.mark.address("chat")
def test_a_server_that_ignores_the_schema_is_found_out(model: Model) -> None:
    """Prose, or half of an answer, is not taken for what was asked for."""
    with pytest.raises(InvalidAnswer):
        model.predict(QUESTION, {"schema": SCHEMA, "max_tokens": 8})


@pytest.mark.address("chat", "embeddings")
def test_an_unknown_model_is_not_found(model: Model) -> None:
    """Whatever status the server has for it."""
    rows = QUESTION.rename_columns(["input"]) if "embeddings" in model.address else QUESTION
    with pytest.raises(NotFound):
        _unknown(model).predict(rows)


@pytest.mark.address("chat")
def test_a_row_without_text_is_invalid_before_it_is_sent(model: Model) -> None:
    """A conversation needs a question."""
    with pytest.raises(InvalidData, match="null"):
        model.predict(pa.record_batch({"prompt": pa.array([None], pa.string())}))


@pytest.mark.address("facts", "embeddings")
def test_a_wrong_key_is_refused_and_not_repeated(model: Model) -> None:
    """Neither for a question nor for the list of models; the message does not hold the key."""
    wrong = replace(model, key="sk-0123456789abcdef0123")
    rows = QUESTION.rename_columns(["input"]) if "embeddings" in model.address else QUESTION
    with pytest.raises(Refused) as caught:
        wrong.predict(rows)
    assert "0123456789" not in str(caught.value)
    with pytest.raises(Refused):
        wrong.ready()


@pytest.mark.address("limited")
def test_a_rate_limit_asks_for_patience(model: Model) -> None:
    """A 429 can be tried again."""
    with pytest.raises(Overloaded, match="429"):
        model.predict(QUESTION)


@pytest.mark.address("broken")
def test_an_error_of_the_provider_is_unreachable(model: Model) -> None:
    """A 500 can pass."""
    with pytest.raises(Unreachable, match="500"):
        model.predict(QUESTION)


@pytest.mark.address("long", "filtered")
def test_a_row_that_the_model_does_not_take_is_invalid(model: Model, label: str) -> None:
    """Too long, or caught by a filter: this row's fault, and said so."""
    with pytest.raises(InvalidData) as caught:
        model.predict(QUESTION)
    assert {"long": "shorten", "filtered": "filter"}[label] in caught.value.hint


@pytest.mark.address("embeddings")
@pytest.mark.parametrize("count", [1, 3])
def test_every_text_gets_its_vector(model: Model, count: int) -> None:
    """In their order, in one request."""
    asked = [f"flight {number}" for number in range(count)]
    answer = model.predict(pa.record_batch({"input": asked}))
    vectors = pa.array([texts.embedded(text) for text in asked], pa.list_(pa.float32(), texts.SIZE))
    assert answer.outputs.column("embedding").equals(vectors)
    assert answer.usage["input_tokens"] == 2 * count


@pytest.mark.address("facts")
def test_the_client_knows_what_it_asked_for(model: Model) -> None:
    """An answer of a schema through the whole client, with its model and its tokens."""
    found = asyncio.run(_predicted(model, {"schema": SCHEMA}))
    assert found.outputs.column("json").to_pylist() == ['{"label":"late","minutes":12}']
    assert found.provenance.model == "facts"
    assert found.provenance.usage["output_tokens"] > 0


@pytest.mark.address("facts")
def test_a_table_is_asked_row_by_row(model: Model, tmp_path: Path) -> None:
    """Every row once; the one without a question is put aside, and tokens are added up."""
    table = pa.table({"id": list(range(6)), "prompt": [*"abcde", None]})
    tally, store = Tally(), FolderStore(tmp_path)
    done = asyncio.run(_scored(model, ds.dataset(table), store, tally))
    assert (done.rows, done.bad, tally.calls) == (6, 1, 5)
    scores = read_scores(store, "out")
    assert scores.column("id").to_pylist() == [0, 1, 2, 3, 4]
    assert set(scores.column("json").to_pylist()) == {'{"label":"late","minutes":12}'}
    assert tally.usage["output_tokens"] == 5 * 20


async def _scored(model: Model, data: ds.Dataset, store: FolderStore, tally: Tally) -> Scored:
    scoring = Scoring(
        data=data,
        input_digest="sha256:input",
        model_version=model.address,
        store=store,
        output="out",
        keys=["id"],
        features=["prompt"],
        partition=None,
        shard_rows=4,
        parameters={},
    )
    asking = Asking(parameters={"schema": SCHEMA}, max_bad_rows=1)
    async with _client(model) as client:
        scored, _ = await score_served(scoring, client, asking, tally=tally)
    return scored


async def _predicted(model: Model, parameters: dict[str, object]) -> Prediction:
    async with _client(model) as client:
        return await client.predict(QUESTION, parameters=parameters)


def _client(model: Model) -> InferenceClient:
    return connect(model.address, secrets={"bearer": model.key})
