"""What a caller sees of a server that fails; no model server can be asked to."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest
from asking import Model, rows
from faulty import faulty_server

from backbeat.errors import BackbeatError, InvalidAnswer, Overloaded, Unreachable
from backbeat.inference.protocol import ModelInfo


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The faulty server."""
    with faulty_server() as authority:
        yield authority


def _failed(server: str, fault: str, *, seconds: float = 60) -> BackbeatError:
    """The error of asking at a path."""
    model = Model(f"ray-serve+http://{server}/{fault}", seconds=seconds)
    endpoint, protocol, asked = model.endpoint, model.protocol, rows(1)
    try:
        response = model.send(protocol.encode(endpoint, ModelInfo(), asked, {}))
        failure = protocol.failure(endpoint, response)
        if failure is None:
            protocol.decode(endpoint, ModelInfo(), asked, response)
    except BackbeatError as error:
        return error
    assert failure is not None, f"{fault} was taken for an answer"
    return failure


@pytest.mark.parametrize("fault", ["hang", "trickle"])
def test_an_answer_that_takes_too_long_is_unreachable(server: str, fault: str) -> None:
    """The deadline counts for the whole answer, however lively its bytes come."""
    assert type(_failed(server, fault, seconds=0.3)) is Unreachable


@pytest.mark.parametrize("fault", ["cut", "crash"])
def test_an_answer_that_ends_early_is_unreachable(server: str, fault: str) -> None:
    """Half of an answer is never taken for one, and trying again can help."""
    assert type(_failed(server, fault)) is Unreachable


@pytest.mark.parametrize("fault", ["html", "unframed"])
def test_what_is_no_answer_of_a_model_is_invalid(server: str, fault: str) -> None:
    """A page of a proxy, and what is no HTTP, are an error that no retry repairs."""
    assert type(_failed(server, fault)) is InvalidAnswer


def test_an_answer_of_a_gibibyte_is_not_read(server: str) -> None:
    """An answer that is too large is refused before the memory for it is taken."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert type(_failed(server, "large")) is InvalidAnswer
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert taken < 600 * 1024  # in KiB


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_patience_gets_it(server: str, status: int) -> None:
    """Its Retry-After is on the error."""
    failure = _failed(server, f"status/{status}/7")
    assert type(failure) is Overloaded
    assert failure.retry_after == 7


def test_an_ill_server_is_unreachable(server: str) -> None:
    """A 500 can pass."""
    assert type(_failed(server, "status/500")) is Unreachable


def test_a_closed_port_is_unreachable() -> None:
    """Where nobody listens, trying again can help."""
    with faulty_server() as gone:
        pass
    assert type(_failed(gone, "hang")) is Unreachable
