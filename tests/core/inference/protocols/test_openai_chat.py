"""Chat completions; the answers are recorded from LiteLLM 1.106, or as OpenAI documents them."""

from __future__ import annotations

import asyncio
import base64
import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.canonical import canonical_bytes
from backbeat.errors import ContractBroken, InvalidAnswer, InvalidData, InvalidStep
from backbeat.inference.address import parse_address
from backbeat.inference.client import InferenceClient
from backbeat.inference.message import Request, Response
from backbeat.inference.prediction import Prediction
from backbeat.inference.protocol import Answer, ModelInfo
from backbeat.inference.protocols import protocol_named

PROTOCOL = protocol_named("openai")
ENDPOINT = parse_address("openai+http://127.0.0.1:4000/v1/chat/completions?model=chat")
ROWS = pa.record_batch({"prompt": ["Is it late?"]})
GOOD = (
    b'{"id":"chatcmpl-4afb50d1","created":1795760445,"model":"chat","object":"chat.completion",'
    b'"choices":[{"finish_reason":"stop","index":0,"message":{"content":"It departs late.",'
    b'"role":"assistant"}}],"usage":{"completion_tokens":20,"prompt_tokens":10,"total_tokens":30}}'
)
SCHEMA = {
    "title": "How late?",
    "type": "object",
    "properties": {"minutes": {"type": "integer"}},
    "required": ["minutes"],
    "additionalProperties": False,
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


def _request(rows: pa.RecordBatch, **parameters: Any) -> Request:
    return PROTOCOL.encode(ENDPOINT, ModelInfo(), rows, parameters)


def _sent(rows: pa.RecordBatch, **parameters: Any) -> Any:
    return json.loads(b"".join(_request(rows, **parameters).body))


def _read(body: bytes, **parameters: Any) -> Answer:
    headers = {"content-type": "application/json"}
    asked = _request(ROWS, **parameters)
    response = Response(status=200, headers=headers, body=body, request=asked)
    return PROTOCOL.decode(ENDPOINT, ModelInfo(), ROWS, response)


def _choice(content: str | None, finish: str = "stop", **rest: Any) -> bytes:
    message = {"role": "assistant", "content": content, "refusal": rest.pop("refusal", None)}
    choice = {"index": 0, "finish_reason": finish, "message": message, **rest}
    return json.dumps({"model": "m", "choices": [choice]}).encode()


class _Recorded:
    """A transport that answers with what was recorded."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def send(self, request: Request, *, seconds: float) -> Response:
        """The same answer to every request."""
        headers = {"content-type": "application/json"}
        return Response(status=200, headers=headers, body=self._body)

    async def aclose(self) -> None:
        """Nothing is open."""


def _document(media: str | None, content: bytes | None = b"\x89PNG") -> pa.RecordBatch:
    metadata = None if media is None else {"media_type": media}
    fields = [pa.field("prompt", pa.string()), pa.field("scan", pa.binary(), metadata=metadata)]
    return pa.record_batch([["What is it?"], [content]], schema=pa.schema(fields))


@given(prompt=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_prompt_is_what_the_user_says(prompt: str) -> None:
    """Every text arrives as it is."""
    sent = _sent(pa.record_batch({"prompt": [prompt]}))
    assert sent == {"model": "chat", "messages": [{"role": "user", "content": prompt}]}


def test_a_system_prompt_stands_first_where_there_is_one() -> None:
    """A row whose system prompt is null has none."""
    rows = {"system": pa.array(["Be brief."]), "prompt": pa.array(["Is it late?"])}
    assert _sent(pa.record_batch(rows))["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Is it late?"},
    ]
    none = pa.record_batch({**rows, "system": pa.array([None], pa.string())})
    assert len(_sent(none)["messages"]) == 1


def test_messages_are_sent_as_they_are() -> None:
    """A conversation that was recorded can be asked again."""
    said = [
        {"role": "user", "content": "Is it late?"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "1", "content": "12"},
    ]
    assert _sent(pa.record_batch({"messages": [json.dumps(said)]}))["messages"] == said


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (
            "image/png",
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        ),
        (
            "audio/wav",
            {"type": "input_audio", "input_audio": {"data": "iVBORw==", "format": "wav"}},
        ),
        (
            "audio/mpeg",
            {"type": "input_audio", "input_audio": {"data": "iVBORw==", "format": "mp3"}},
        ),
    ],
)
def test_a_document_stands_behind_the_text(media: str, part: dict[str, Any]) -> None:
    """In the form that its kind has; a row without one is text alone."""
    (message,) = _sent(_document(media))["messages"]
    assert message["content"] == [{"type": "text", "text": "What is it?"}, part]
    (message,) = _sent(_document(media, None))["messages"]
    assert message["content"] == "What is it?"


@given(content=st.binary(max_size=200))
def test_a_document_arrives_byte_by_byte(content: bytes) -> None:
    """Whatever is in it."""
    (message,) = _sent(_document("image/png", content))["messages"]
    url = message["content"][1]["image_url"]["url"]
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")) == content


def test_documents_belong_to_the_last_message_of_the_user() -> None:
    """With recorded messages too."""
    said = [{"role": "user", "content": [{"type": "text", "text": "And this?"}]}]
    rows = _document("image/png").set_column(
        0, pa.field("messages", pa.string()), pa.array([json.dumps(said)])
    )
    assert len(_sent(rows)["messages"][0]["content"]) == 2
    theirs = pa.array([json.dumps([{"role": "assistant", "content": "No."}])])
    with pytest.raises(ContractBroken, match="user"):
        _sent(rows.set_column(0, pa.field("messages", pa.string()), theirs))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (pa.record_batch({"prompt": ["a", "b"]}), "2 rows"),
        (pa.record_batch({"system": ["a"]}), "one of the two"),
        (pa.record_batch({"prompt": ["a"], "messages": ["[]"]}), "one of the two"),
        (pa.record_batch({"prompt": ["a"], "promt": ["b"]}), "promt"),
        (pa.record_batch({"prompt": pa.array([None], pa.string())}), "null"),
        (pa.record_batch({"prompt": [1]}), "int"),
        (pa.record_batch({"messages": ["not JSON"]}), "no JSON"),
        (pa.record_batch({"messages": ["[" * 100_000]}), "no JSON"),
        (pa.record_batch({"messages": ["[]"]}), "list of messages"),
        (pa.record_batch({"messages": ['{"role": "user"}']}), "list of messages"),
        (pa.record_batch({"messages": ['["user"]']}), "list of messages"),
        (pa.record_batch({"messages": ['[{"role": "user", "content": "\\ud800"}]']}), "JSON"),
        (_document(None), "media_type"),
        (_document("application/zip"), "application/zip"),
    ],
)
def test_what_is_no_conversation_is_refused_before_it_is_sent(
    rows: pa.RecordBatch, says: str
) -> None:
    """And the error says what is."""
    with pytest.raises(ContractBroken) as caught:
        _sent(rows)
    assert says in str(caught.value)


def test_a_schema_is_sent_as_a_strict_response_format() -> None:
    """Its title is its name, as far as names go."""
    sent = _sent(ROWS, schema=SCHEMA, temperature=0, seed=7)
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "How_late_", "strict": True, "schema": SCHEMA},
    }
    assert (sent["temperature"], sent["seed"]) == (0, 7)
    assert "schema" not in sent


@pytest.mark.parametrize(
    "parameters", [{"schema": "object"}, {"schema": {}, "response_format": {"type": "text"}}]
)
def test_a_schema_that_is_none_is_an_invalid_step(parameters: dict[str, Any]) -> None:
    """Or one beside a response_format, which says the same thing twice."""
    with pytest.raises(InvalidStep):
        _sent(ROWS, **parameters)


def test_an_answer_is_one_row_of_text() -> None:
    """With the model, the tokens and the id; columns have their types where they are null too."""
    answer = _read(GOOD)
    assert answer.outputs.to_pylist() == [
        {"text": "It departs late.", "finish_reason": "stop", "refusal": None}
    ]
    assert {str(field.type) for field in answer.outputs.schema} == {"string"}
    assert (answer.model, answer.version, answer.request_id) == ("chat", "", "chatcmpl-4afb50d1")
    assert answer.usage == {"input_tokens": 10, "output_tokens": 20}


def test_the_fingerprint_is_the_version_and_cached_tokens_are_counted() -> None:
    """Where the server says them; counts that are none are left out."""
    told = json.loads(GOOD)
    told["system_fingerprint"] = "fp_44709d6fcb"
    told["usage"] = {
        "prompt_tokens": 10,
        "completion_tokens": None,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    answer = _read(json.dumps(told).encode())
    assert answer.version == "fp_44709d6fcb"
    assert answer.usage == {"input_tokens": 10, "cached_tokens": 8}


@given(
    value=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=3),
    indent=st.sampled_from([None, 2]),
)
def test_an_answer_of_a_schema_is_canonical_json(value: dict[str, Any], indent: int | None) -> None:
    """Two answers that say the same are the same bytes."""
    body = _choice(json.dumps({**value, "minutes": 12}, indent=indent))
    (found,) = _read(body, schema=SCHEMA).outputs.column("json").to_pylist()
    assert found.encode() == canonical_bytes({**value, "minutes": 12})


def test_the_client_reads_an_answer_by_what_it_asked() -> None:
    """A transport need not know that the answer is to be JSON."""

    async def run() -> Prediction:
        transport = _Recorded(_choice('{ "minutes": 12 }'))
        async with InferenceClient(ENDPOINT.address, transport=transport) as client:
            return await client.predict(ROWS, parameters={"schema": SCHEMA})

    assert asyncio.run(run()).outputs.column("json").to_pylist() == ['{"minutes":12}']


def test_any_json_format_gives_json_and_none_gives_none() -> None:
    """`response_format` as a caller wrote it is kept to as well."""
    body = _choice('{"b": 1, "a": 2}')
    asked = _read(body, response_format={"type": "json_object"}).outputs
    assert asked.column("json").to_pylist() == ['{"a":2,"b":1}']
    assert "json" not in _read(body).outputs.schema.names
    assert "json" not in _read(body, response_format={"type": "text"}).outputs.schema.names


def test_a_refusal_is_an_answer() -> None:
    """The model's own words, and no JSON."""
    (row,) = _read(_choice(None, refusal="I cannot."), schema=SCHEMA).outputs.to_pylist()
    assert row == {"text": None, "finish_reason": "stop", "refusal": "I cannot.", "json": None}


def test_json_that_was_cut_says_what_to_raise() -> None:
    """Half of an object is not half right; the same text without a schema is an answer."""
    cut = _choice('{"minutes": 1', "length")
    with pytest.raises(InvalidAnswer) as caught:
        _read(cut, schema=SCHEMA)
    assert "max_tokens" in caught.value.hint
    assert _read(cut).outputs.column("finish_reason").to_pylist() == ["length"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "It departs late.",
        '```json\n{"minutes": 12}\n```',
        "[12]",
        "12",
        '{"late": 12}',
        '{"minutes": NaN}',
        '{"minutes": "\\ud800"}',
        '{"minutes":' * 10_000,
        "[" * 100_000,
    ],
)
def test_text_that_is_not_of_the_schema_is_invalid(content: str | None) -> None:
    """Prose, another type, a name that is missing, and what JSON cannot say."""
    with pytest.raises(InvalidAnswer):
        _read(_choice(content), schema=SCHEMA)


def test_a_content_filter_makes_the_row_invalid() -> None:
    """The others go on; half of an answer is not taken."""
    with pytest.raises(InvalidData, match="filter"):
        _read(_choice("It dep", "content_filter"))


@given(st.lists(st.floats(min_value=-50, max_value=0), min_size=1, max_size=20))
def test_the_confidence_is_the_mean_of_the_tokens(logprobs: list[float]) -> None:
    """Their geometric mean: between the least and the most probable one."""
    tokens = [{"token": "x", "logprob": value} for value in logprobs]
    body = _choice("It departs late.", logprobs={"content": tokens})
    (found,) = _read(body, logprobs=True).outputs.column("confidence").to_pylist()
    least, most = math.exp(min(logprobs)), math.exp(max(logprobs))
    assert least * (1 - 1e-9) <= found <= most * (1 + 1e-9)
    assert 0 <= found <= 1


@pytest.mark.parametrize("logprobs", [None, {"content": None}, {"content": []}])
def test_a_model_that_gives_no_probabilities_has_no_confidence(logprobs: Any) -> None:
    """Null where it was asked for, so that every row has the same columns."""
    asked = _read(_choice("Yes.", logprobs=logprobs), logprobs=True).outputs
    assert asked.column("confidence").to_pylist() == [None]
    assert "confidence" not in _read(_choice("Yes.", logprobs=logprobs)).outputs.schema.names


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"error":{"message":"provider failed"}}',
        b'{"choices":[]}',
        b'{"choices":{}}',
        b'{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}}]}',
        b'{"choices":[{"finish_reason":"stop"}]}',
        b'{"choices":[{"message":{"content":["a"]}}]}',
        b'{"choices":[{"message":{"content":1}}]}',
        b'{"choices":[{"message":{"content":"\\ud800"}}]}',
        b'{"choices":["a"]}',
        b'{"choices":[{"message":{"content":"a"},"logprobs":{"content":[{"logprob":"x"}]}}]}',
        b'{"choices":[{"message":{"content":"a"},"logprobs":{"content":[1]}}]}',
        GOOD[:-20],
    ],
)
def test_what_is_no_answer_is_invalid(body: bytes) -> None:
    """Cut, of another type, or of more than one choice."""
    with pytest.raises(InvalidAnswer):
        _read(body, logprobs=True)
