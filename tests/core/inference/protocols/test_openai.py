"""OpenAI's API: addresses, readiness, errors; recorded from LiteLLM 1.106, transformers 5.23."""

from __future__ import annotations

import json
import string

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.errors import (
    BackbeatError,
    InvalidData,
    InvalidStep,
    NotFound,
    Overloaded,
    Refused,
    Unreachable,
)
from backbeat.inference.address import parse_address
from backbeat.inference.message import Response
from backbeat.inference.protocol import ModelInfo
from backbeat.inference.protocols import protocol_named

PROTOCOL = protocol_named("openai")
CHAT = parse_address("openai+http://127.0.0.1:4000/v1/chat/completions?model=chat")
EMBEDDINGS = parse_address("openai+http://127.0.0.1:4000/v1/embeddings?model=texts")
ROWS = pa.record_batch({"prompt": ["Is it late?"]})
LISTED = (
    b'{"data":[{"id":"chat","object":"model","created":1677610602,"owned_by":"openai"},'
    b'{"id":"facts","object":"model","created":1677610602,"owned_by":"openai"}],"object":"list"}'
)


def _answer(body: bytes, status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers={"content-type": "application/json", **named}, body=body)


def _error(status: int, message: str = "", *, code: str = "", **headers: str) -> BackbeatError:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    body = json.dumps({"error": error}).encode()
    failure = PROTOCOL.failure(CHAT, _answer(body, status, **headers))
    assert failure is not None
    return failure


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/openai/v1/chat/completions", "/v1/embeddings", "/embeddings"]
)
def test_the_url_that_works_in_curl_is_an_address(path: str) -> None:
    """Whatever a proxy puts before it; the model is an option, as a body is no address."""
    endpoint = parse_address(f"openai+https://h{path}?model=meta/llama")
    PROTOCOL.check(endpoint)
    column = "input" if "embeddings" in path else "prompt"
    request = PROTOCOL.encode(endpoint, ModelInfo(), ROWS.rename_columns([column]), {})
    assert request.url == f"https://h:443{path}"
    assert json.loads(b"".join(request.body))["model"] == "meta/llama"
    models = path.replace("/chat/completions", "/models").replace("/embeddings", "/models")
    assert PROTOCOL.ready(endpoint).url == f"https://h:443{models}"


@pytest.mark.parametrize(
    "rest",
    [
        "http://h/v1/chat/completions",
        "http://h/v1/chat/completions?model=",
        "http://h/v1/chat/completions?modell=chat",
        "http://h/v1/completions?model=chat",
        "http://h/v1?model=chat",
        "grpc://h:1/v1/chat/completions?model=chat",
    ],
)
def test_what_is_no_address_of_it_is_refused_before_any_work(rest: str) -> None:
    """No model, another path, another transport."""
    with pytest.raises(InvalidStep):
        PROTOCOL.check(parse_address(f"openai+{rest}"))


def test_a_request_holds_one_conversation_or_many_texts() -> None:
    """By the address's path."""
    assert PROTOCOL.rows_a_request(CHAT) == 1
    assert PROTOCOL.rows_a_request(EMBEDDINGS) == 2048


def test_nothing_is_asked_before_a_question() -> None:
    """The list of models says nothing that an answer does not, and some keys may not read it."""
    assert PROTOCOL.describe(CHAT) is None


def test_a_listed_model_is_ready() -> None:
    """One that is not listed is not found, with what was meant or what there is."""
    assert PROTOCOL.read_ready(CHAT, _answer(LISTED))
    unlisted = parse_address("openai+http://h/v1/chat/completions?model=fact")
    with pytest.raises(NotFound) as caught:
        PROTOCOL.read_ready(unlisted, _answer(LISTED))
    assert "did you mean 'facts'" in caught.value.hint
    with pytest.raises(NotFound) as caught:
        PROTOCOL.read_ready(EMBEDDINGS, _answer(LISTED))
    assert "chat, facts" in caught.value.hint


@pytest.mark.parametrize("body", [b'{"data":[],"object":"list"}', b'{"object":"list"}', b"[]"])
def test_a_server_that_keeps_its_models_to_itself_is_ready(body: bytes) -> None:
    """It answers, and more is not to be learnt without a question."""
    assert PROTOCOL.read_ready(CHAT, _answer(body))


def test_a_server_that_starts_is_not_ready_and_one_that_refuses_says_so() -> None:
    """A 503 passes; a 401 does not."""
    assert not PROTOCOL.read_ready(CHAT, _answer(b"", 503))
    with pytest.raises(Refused):
        PROTOCOL.read_ready(CHAT, _answer(b"{}", 401))


@pytest.mark.parametrize("parameters", [{"n": 2}, {"stream": True}, {"n": 0}])
def test_one_row_has_one_whole_answer(parameters: dict[str, object]) -> None:
    """Several choices and streams are refused; saying what is usual is not."""
    with pytest.raises(InvalidStep, match="one answer a row"):
        PROTOCOL.encode(CHAT, ModelInfo(), ROWS, parameters)
    sent = PROTOCOL.encode(CHAT, ModelInfo(), ROWS, {"n": 1, "stream": False})
    assert json.loads(b"".join(sent.body)).keys() == {"model", "messages"}


def test_an_unknown_parameter_is_refused_with_what_was_meant() -> None:
    """A typing error must not be a setting that is silently not there."""
    with pytest.raises(InvalidStep) as caught:
        PROTOCOL.encode(CHAT, ModelInfo(), ROWS, {"temprature": 0})
    assert caught.value.hint == "did you mean 'temperature'?"
    with pytest.raises(InvalidStep) as caught:
        PROTOCOL.encode(EMBEDDINGS, ModelInfo(), ROWS, {"temperature": 0})
    assert "dimensions" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (401, "invalid_api_key", Refused),
        (403, "model_not_found", Refused),
        (404, "model_not_found", NotFound),
        (400, "context_length_exceeded", InvalidData),
        (400, "content_filter", InvalidData),
        (400, "invalid_api_key", Refused),
        (400, "budget_exceeded", Refused),
        (400, "invalid_value", InvalidData),
        (429, "rate_limit_exceeded", Overloaded),
        (429, "insufficient_quota", Refused),
        (408, "", Unreachable),
        (409, "", Unreachable),
        (500, "insufficient_quota", Unreachable),
        (502, "", Unreachable),
        (503, "", Overloaded),
    ],
)
def test_errors_mean_what_their_status_and_code_say(
    status: int, code: str, meaning: type[BackbeatError]
) -> None:
    """Waiting helps against a rate limit and not against an empty account."""
    failure = _error(status, "so it is", code=code)
    assert type(failure) is meaning
    assert failure.message.endswith(f"with {status}: so it is")
    assert failure.hint


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (
            400,
            (
                b'{"error":{"message":"/chat/completions: Invalid model name passed in model=nope. '
                b'Call `/v1/models` to view available models for your key.","type":'
                b'"invalid_request_error","param":null,"code":"400"}}'
            ),
            NotFound,
        ),
        (
            400,
            (
                b'{"error":{"message":"No connected db.","type":"no_db_connection","param":null,'
                b'"code":"400"}}'
            ),
            Refused,
        ),
        (
            400,
            (
                b'{"error":{"message":"litellm.ContextWindowExceededError: '
                b'litellm.BadRequestError: this is a mock context window exceeded error",'
                b'"type":"invalid_request_error","param":null,"code":"400"}}'
            ),
            InvalidData,
        ),
        (
            429,
            (
                b'{"error":{"message":"litellm.RateLimitError: this is a mock rate limit error",'
                b'"type":"throttling_error","param":null,"code":"429"}}'
            ),
            Overloaded,
        ),
        (
            400,
            b"{\"detail\":\"Server is pinned to 'backbeat/llama'; requested 'nope'.\"}",
            NotFound,
        ),
        (422, b'{"detail":"Unexpected fields in the request: {\'bogus\'}"}', InvalidData),
        (
            404,
            (
                b'{"object":"error","message":"The model `nope` does not exist.","type":'
                b'"NotFoundError","param":null,"code":404}'
            ),
            NotFound,
        ),
        (500, b"Internal Server Error", Unreachable),
        (502, b"<html><h1>Bad Gateway</h1></html>", Unreachable),
        (429, b'{"error":"slow down"}', Overloaded),
        (400, b"[" * 100_000, InvalidData),
        (400, b"\xff\xfe", InvalidData),
    ],
)
def test_servers_that_write_their_errors_otherwise_are_understood(
    status: int, body: bytes, meaning: type[BackbeatError]
) -> None:
    """LiteLLM has no codes, FastAPI has details, and vLLM's envelope is open."""
    failure = PROTOCOL.failure(CHAT, _answer(body, status))
    assert type(failure) is meaning
    assert len(failure.message) < 400


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after_ms": "1500", "retry_after": "2"}, 1.5),
        ({"retry_after": "2", "x_ratelimit_reset_requests": "6m0s"}, 2.0),
        ({"x_ratelimit_reset_requests": "6m0s", "x_ratelimit_remaining_requests": "0"}, 360.0),
        (
            {
                "x_ratelimit_reset_requests": "6m0s",
                "x_ratelimit_remaining_requests": "12",
                "x_ratelimit_reset_tokens": "20ms",
                "x_ratelimit_remaining_tokens": "0",
            },
            0.02,
        ),
        ({"x_ratelimit_reset_requests": "1m30.5s", "x_ratelimit_reset_tokens": "7"}, 7.0),
        ({"x_ratelimit_reset_tokens": "1h2m3s"}, 3723.0),
        ({"x_ratelimit_reset_tokens": "2026-11-27T06:20:44Z"}, None),
        ({"x_ratelimit_reset_tokens": "1795760444"}, None),
        ({"retry_after_ms": "soon"}, None),
        ({}, None),
    ],
)
def test_a_rate_limit_says_when_to_ask_again(
    headers: dict[str, str], seconds: float | None
) -> None:
    """By the most exact header; of the limits, those that are used up."""
    assert _error(429, **headers).retry_after == seconds


def test_a_final_error_carries_no_patience() -> None:
    """An account that is empty is not asked again, whatever the header says."""
    assert _error(429, code="insufficient_quota", retry_after="2").retry_after is None


_KEYS = st.text(string.ascii_letters + string.digits + "-_", min_size=8, max_size=60)


@given(key=_KEYS, form=st.sampled_from(["Incorrect API key provided: sk-{}.", "Bearer {}", "{}"]))
def test_no_key_that_a_server_repeats_is_shown(key: str, form: str) -> None:
    """Neither in the message nor in what is printed of the error."""
    said = form.format(key) if form != "{}" else f"Received API Key = sk-{key}, Token = {key}"
    assert key not in str(_error(401, said).as_json())


def test_words_without_a_secret_stay() -> None:
    """A person is to read what is wrong."""
    said = "This model's maximum context length is 4096 tokens: you asked for 5000 tokens."
    assert said in _error(400, said).message
