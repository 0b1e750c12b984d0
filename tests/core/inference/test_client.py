"""The client: what it sends, what it tries again, when it gives up, and what it says about it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from backbeat.errors import (
    Conflict,
    InvalidData,
    InvalidStep,
    NotFound,
    Overloaded,
    Refused,
    Unreachable,
)
from backbeat.inference.client import InferenceClient
from backbeat.inference.prediction import Prediction, confidence_of, input_digest
from backbeat.inference.resilience import Resilience

QUICK = Resilience(deadline_seconds=5, base_seconds=0.001, cap_seconds=0.002)


def rows(*values: float) -> pa.RecordBatch:
    """Rows of one column."""
    return pa.record_batch({"x": list(values)})


def ask(server: Any, batch: pa.RecordBatch, **given: Any) -> Prediction:
    """One prediction, by a client of its own."""
    arguments: dict[str, Any] = {"resilience": QUICK, **given}

    async def run() -> Prediction:
        async with InferenceClient(server.address, **arguments) as client:
            return await client.predict(batch)

    return asyncio.run(run())


def test_an_answer_carries_where_it_comes_from(server: Any) -> None:
    """Model, request, input and parameters are named, and the request's name is sent."""

    async def run() -> Prediction:
        async with InferenceClient(server.address, resilience=QUICK) as client:
            return await client.predict(rows(1, 2), request_id="r1", parameters={"seed": 7})

    found = asyncio.run(run())
    assert found.outputs.column(0).to_pylist() == [2, 4]
    origin = found.provenance
    assert (origin.model, origin.address, origin.request_id) == ("double", server.address, "r1")
    assert origin.input_digest == input_digest(rows(1, 2), {"seed": 7})
    assert dict(origin.parameters) == {"seed": 7}
    assert origin.attempts == 1
    assert server.headers[0]["x-request-id"] == "r1"


def test_a_server_is_told_how_much_time_is_left(server: Any) -> None:
    """The deadline goes with the request, and shrinks from attempt to attempt."""
    server.failing = [(500, {})]
    ask(server, rows(1))
    left = [int(sent["x-envoy-expected-rq-timeout-ms"]) for sent in server.headers]
    assert 5000 >= left[0] > left[1] > 0


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_be_tried_again_is(server: Any, status: int) -> None:
    """An ill or full server is asked again, under the same name, and the attempts are told."""
    server.failing = [(status, {})] * 2
    found = ask(server, rows(3))
    assert found.outputs.column(0).to_pylist() == [6]
    assert found.provenance.attempts == 3
    assert len({sent["x-request-id"] for sent in server.headers}) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(400, InvalidData), (401, Refused), (403, Refused), (404, NotFound)]
)
def test_what_cannot_get_better_is_sent_once(
    server: Any, status: int, kind: type[Exception]
) -> None:
    """Refused credentials, refused rows and unknown models are never tried again."""
    server.failing = [(status, {})]
    with pytest.raises(kind):
        ask(server, rows(1))
    assert len(server.asked) == 1


def test_a_server_that_asks_for_more_time_than_there_is_gets_no_second_call(
    server: Any,
) -> None:
    """Retry-After is kept: where it lies behind the deadline the call ends at once."""
    server.failing = [(503, {"Retry-After": "60"})]
    with pytest.raises(Overloaded) as caught:
        ask(server, rows(1))
    assert caught.value.retry_after == 60
    assert len(server.asked) == 1


def test_a_server_that_says_nothing_is_given_up_at_the_deadline(server: Any) -> None:
    """A call never takes longer than its deadline, retries included."""
    server.held.clear()
    with pytest.raises(Unreachable):
        ask(server, rows(1), resilience=Resilience(deadline_seconds=0.3))
    assert len(server.asked) == 1


def test_a_slow_attempt_is_given_up_before_the_deadline_where_that_is_asked(server: Any) -> None:
    """With a limit for one attempt, another one is made in the time that is left."""
    server.held.clear()
    policy = Resilience(deadline_seconds=2, attempt_seconds=0.2, base_seconds=0, attempts=3)
    with pytest.raises(Unreachable, match=r"within 0\.2"):
        ask(server, rows(1), resilience=policy)
    assert len(server.asked) == 3


def test_no_more_requests_are_under_way_than_the_policy_says(server: Any) -> None:
    """Two hundred calls at once reach the server three at a time."""

    async def run() -> list[Prediction]:
        policy = Resilience(in_flight=3)
        async with InferenceClient(server.address, resilience=policy) as client:
            return await asyncio.gather(*(client.predict(rows(x)) for x in range(200)))

    answers = asyncio.run(run())
    assert [found.outputs.column(0)[0].as_py() for found in answers] == [2 * x for x in range(200)]
    assert server.highest <= 3


def test_retries_of_an_ill_server_stay_within_the_budget(server: Any) -> None:
    """A thousand calls to a server that always fails send hardly more than a thousand requests."""
    server.failing = [(500, {})] * 10_000

    async def run() -> int:
        # a breaker that never opens, so that only the budget holds
        policy = Resilience(base_seconds=0, cap_seconds=0, breaker_failures=10_000, in_flight=64)
        async with InferenceClient(server.address, resilience=policy) as client:
            answers = await asyncio.gather(
                *(client.predict(rows(1)) for _ in range(1000)), return_exceptions=True
            )
        return sum(isinstance(answer, Unreachable) for answer in answers)

    assert asyncio.run(run()) == 1000
    assert 1000 < len(server.asked) <= 1100


def test_after_too_many_failures_nothing_is_sent(server: Any) -> None:
    """The breaker opens: calls end at once, and the server is left alone."""
    server.failing = [(500, {})] * 1000

    async def run() -> tuple[int, str]:
        policy = Resilience(attempts=1, breaker_failures=5)
        async with InferenceClient(server.address, resilience=policy) as client:
            for _ in range(50):
                with pytest.raises(Unreachable):
                    await client.predict(rows(1), seconds=1)
            return len(server.asked), client.breaker

    sent, state = asyncio.run(run())
    assert (sent, state) == (6, "open")


def test_a_breaker_closes_when_the_server_is_well_again(server: Any) -> None:
    """One call tries, and the next ones go through."""
    server.failing = [(500, {})] * 6

    async def run() -> str:
        policy = Resilience(attempts=1, breaker_failures=5, breaker_seconds=0.2)
        async with InferenceClient(server.address, resilience=policy) as client:
            for _ in range(6):
                with pytest.raises(Unreachable):
                    await client.predict(rows(1), seconds=0.05)
            assert client.breaker == "open"
            await asyncio.gather(*(client.predict(rows(1), seconds=5) for _ in range(10)))
            return client.breaker

    assert asyncio.run(run()) == "closed"
    assert len(server.asked) == 16


def test_another_model_answers_where_this_one_cannot(serving: Callable[[], Any]) -> None:
    """The fallback is asked, and the answer says instead of whom."""
    ill, server = serving(), serving()
    ill.failing = [(500, {})] * 100
    found = ask(ill, rows(4), fallback=InferenceClient(server.address, resilience=QUICK))
    assert found.outputs.column(0).to_pylist() == [8]
    assert found.provenance.instead_of == ill.address
    assert found.provenance.address == server.address


def test_refused_rows_are_not_given_to_the_fallback(serving: Callable[[], Any]) -> None:
    """What is wrong with the rows is wrong for every model."""
    strict, server = serving(), serving()
    strict.refused = {4.0}
    with pytest.raises(InvalidData):
        ask(strict, rows(4), fallback=InferenceClient(server.address))
    assert not server.asked


def test_bytes_that_are_not_what_they_are_said_to_be_are_never_sent(server: Any) -> None:
    """A text under the name of a picture is refused here, for nothing."""
    field = pa.field("x", pa.binary(), metadata={"media_type": "image/png"})
    batch = pa.record_batch([pa.array([b"no picture"])], schema=pa.schema([field]))
    with pytest.raises(InvalidData, match="image/png"):
        ask(server, batch)
    assert server.headers == []


@pytest.mark.parametrize(
    ("status", "headers", "state"),
    [(503, {}, "open"), (429, {}, "closed"), (503, {"Retry-After": "1"}, "closed")],
)
def test_a_server_that_is_unavailable_for_long_is_left_alone(
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    headers: dict[str, str],
    state: str,
) -> None:
    """A bare 503 opens the breaker once nothing was answered for long; patience never does."""
    monkeypatch.setattr("backbeat.inference.breaker._PATIENCE_SECONDS", 0.0)
    server.failing = [(status, headers)] * 1000

    async def run() -> str:
        policy = Resilience(attempts=1, breaker_failures=5)
        async with InferenceClient(server.address, resilience=policy) as client:
            for _ in range(20):
                with pytest.raises(Unreachable):
                    await client.predict(rows(1), seconds=1)
            return client.breaker

    assert asyncio.run(run()) == state


def test_a_client_of_one_s_own_keeps_to_the_list(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step is needed: nothing is sent to an address that is not allowed."""
    monkeypatch.setenv("BACKBEAT_ALLOWED_ADDRESSES", "https://models.internal")
    with pytest.raises(Refused):
        ask(server, rows(1))
    assert server.headers == []


@pytest.mark.parametrize("address", ["kserve-v1+http://{}:80/v1/models/m", "oip+grpc://{}:8001/m"])
def test_a_name_that_leads_to_metadata_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the name is, what it leads to is looked at, over HTTP and over gRPC."""
    real = socket.getaddrinfo

    def lead(host: Any, *more: Any, **named: Any) -> Any:
        return real("169.254.169.254" if host == "churn.example.com" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lead)

    async def run() -> None:
        async with InferenceClient(address.format("churn.example.com")) as client:
            await client.describe()

    with pytest.raises(Refused, match="leads to 169"):
        asyncio.run(run())


def test_another_version_than_asked_for_is_a_conflict(server: Any) -> None:
    """An answer of another version is not taken for that of this one."""
    server.version = "2"
    with pytest.raises(Conflict, match="Version 2 of the model answered, and 3 was asked for"):
        ask(server, rows(1), version="3")
    assert ask(server, rows(1), version="2").provenance.version == "2"


def test_a_model_is_ready_or_not_and_a_dead_server_is_not(server: Any) -> None:
    """Asking whether a model is ready is no error where nobody answers."""

    async def run(port: int) -> bool:
        address = f"kserve-v1+http://127.0.0.1:{port}/v1/models/double"
        async with InferenceClient(address) as client:
            return await client.ready()

    assert asyncio.run(run(server.port))
    assert not asyncio.run(run(1))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("kserve-v2+http://127.0.0.1:1/v1/models/m", "did you mean kserve-v1"),
        ("kserve-v1+grpc://127.0.0.1:1/v1/models/m", "does not go over grpc"),
        ("http://127.0.0.1:1/m", "is no address of a served model"),
        ("kserve-v1+http://user:hunter2@127.0.0.1:1/v1/models/m", "holds credentials"),
    ],
)
def test_an_address_that_cannot_be_is_refused_before_anything_is_sent(
    address: str, said: str
) -> None:
    """The error says what is known, and never repeats a password."""
    with pytest.raises(InvalidStep) as caught:
        InferenceClient(address)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_confidence_is_read_from_a_number_or_the_greatest_probability() -> None:
    """Where the model gives none there is none; a named output that is not there is told."""
    plain = pa.record_batch({"confidence": [0.2, None], "label": ["a", "b"]})
    assert confidence_of(plain).to_pylist() == [0.2, None]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([0.1, 0.9, 0.6, 0.4]), 2)
    assert confidence_of(pa.record_batch({"p": vectors}), "p").to_pylist() == [0.9, 0.6]
    assert confidence_of(pa.record_batch({"score": [1.0]})) is None
    with pytest.raises(InvalidStep, match="no output 'sure'"):
        confidence_of(plain, "sure")
    with pytest.raises(InvalidStep, match="not a confidence"):
        confidence_of(plain, "label")


def test_the_digest_of_an_input_is_of_its_values_and_parameters() -> None:
    """The same rows have the same digest however they were sliced; another seed has another."""
    whole = rows(1, 2, 3)
    assert input_digest(whole.slice(1, 1), {}) == input_digest(rows(2), {})
    assert input_digest(rows(2), {}) != input_digest(rows(2), {"seed": 1})
    assert input_digest(rows(2), {}) != input_digest(rows(3), {})
