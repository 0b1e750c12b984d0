"""One call to a server, tried again within its deadline and its budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from backbeat.errors import NotFound, RetryableError, Unreachable
from backbeat.retries import EndpointBudget, acall, call
from backbeat.retries.local import LocalBuckets

Calling = Callable[..., Any]


class Server:
    """Raises what it is told to, then answers; counts the calls and the seconds it was given."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.given: list[float] = []

    def __call__(self, seconds: float) -> str:
        self.given.append(seconds)
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def _sync(server: Callable[[float], Any], **given: Any) -> Any:
    return call(server, **given)


def _awaited(server: Callable[[float], Any], **given: Any) -> Any:
    async def function(seconds: float) -> Any:
        return server(seconds)

    async def run() -> Any:
        answer: Awaitable[Any] = acall(function, **given)
        return await answer

    return asyncio.run(run())


@pytest.fixture(params=[_sync, _awaited], ids=["call", "acall"])
def calling(request: pytest.FixtureRequest) -> Calling:
    """Both twins, with waits of at most a millisecond."""

    def run(server: Callable[[float], Any], **given: Any) -> Any:
        usual = {"budget": _budget(), "deadline_seconds": 30, "base": 0.001, "cap": 0.001}
        return request.param(server, **{**usual, **given})

    return run


def _budget() -> EndpointBudget:
    buckets = LocalBuckets()
    return EndpointBudget("http://server", lambda: buckets)


def _gone(number: int) -> list[Exception]:
    return [Unreachable(f"no answer {at}") for at in range(number)]


def test_a_retryable_error_is_tried_again(calling: Calling) -> None:
    """The answer comes through after two failures, and each attempt has less time left."""
    server = Server(*_gone(2))
    assert calling(server) == "answer"
    assert len(server.given) == 3
    assert 30 >= server.given[0] > server.given[1] > server.given[2] > 0


@pytest.mark.parametrize("error", [NotFound("no such model"), ValueError("a bug")])
def test_no_other_error_is(calling: Calling, error: Exception) -> None:
    """A final error and an exception of another library come out at once."""
    server = Server(error)
    with pytest.raises(type(error)):
        calling(server)
    assert len(server.given) == 1


def test_attempts_are_counted_the_first_included(calling: Calling) -> None:
    """Four attempts by default; the last one's own error comes out."""
    server = Server(*_gone(9))
    with pytest.raises(Unreachable, match="no answer 3"):
        calling(server)
    assert len(server.given) == 4


def test_a_spent_budget_ends_the_call_and_is_noted(calling: Calling) -> None:
    """The call's own error comes out, retryable as it was, with the budget's name beside it."""
    budget = _budget()
    while budget.grant():
        pass
    server = Server(*_gone(9))
    with pytest.raises(RetryableError, match="no answer 0") as caught:
        calling(server, budget=budget)
    assert caught.value.__notes__ == ["not tried again: endpoint:http://server is spent"]
    assert len(server.given) == 1


def test_no_wait_goes_beyond_the_deadline(calling: Calling) -> None:
    """A server that asks for an hour is given up at once, and no retry is paid for."""
    budget = _budget()
    server = Server(Unreachable("busy", retry_after=3600))
    began = time.monotonic()
    with pytest.raises(Unreachable, match="busy") as caught:
        calling(server, budget=budget, deadline_seconds=5)
    assert time.monotonic() - began < 5
    assert caught.value.__notes__ == ["not tried again: the deadline comes first"]
    assert sum(budget.grant() for _ in range(11)) == 10


def test_retry_after_is_waited_for(calling: Calling) -> None:
    """The second attempt begins no sooner than the server asked for."""
    moments: list[float] = []

    def server(seconds: float) -> str:
        moments.append(time.monotonic())
        if len(moments) == 1:
            raise Unreachable("busy", retry_after=0.05)
        return "answer"

    assert calling(server) == "answer"
    assert moments[1] - moments[0] >= 0.05
