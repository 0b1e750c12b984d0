"""The gRPC carrier: a server's status is an answer, a channel's is an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from backbeat.errors import InvalidAnswer, Unreachable
from backbeat.inference.grpc_transport import GrpcTransport
from backbeat.inference.message import Request, Response

METHOD = "/test.Echo/Say"


async def _echo(body: bytes, context: Any) -> bytes:
    told = dict(context.invocation_metadata())
    if body == b"refuse":
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such shape")
    if body == b"full":
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the model is loading")
    if body == b"hang":
        await asyncio.sleep(60)
    if body == b"large":
        return b" " * 2**20
    context.set_trailing_metadata((("x-told", told.get("x-request-id", "")),))
    return b"".join([b"<", body, b">"])


def over_grpc(use: Callable[[GrpcTransport], Awaitable[Response]], **given: Any) -> Response:
    """Run something against a real server on the loopback address."""

    async def run() -> Response:
        server = grpc.aio.server()
        say = grpc.unary_unary_rpc_method_handler(_echo)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Echo", {"Say": say}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        transport = GrpcTransport(f"127.0.0.1:{port}", **given)
        try:
            return await use(transport)
        finally:
            await transport.aclose()
            await server.stop(0)

    return asyncio.run(run())


def say(*body: bytes, seconds: float = 5.0) -> Callable[[GrpcTransport], Awaitable[Response]]:
    """One call."""
    request = Request(method="GRPC", url=METHOD, headers={"x-request-id": "r1"}, body=body)
    return lambda transport: transport.send(request, seconds=seconds)


def test_parts_and_metadata_arrive_and_trailing_metadata_comes_back() -> None:
    """The body is sent as one message; status 0 is a good answer."""
    answer = over_grpc(say(b"a", b"b"))
    assert (answer.status, bytes(answer.body)) == (0, b"<ab>")
    assert answer.headers["x-told"] == "r1"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [(b"refuse", 3, "no such shape"), (b"full", 14, "the model is loading")],
)
def test_a_status_of_the_server_is_an_answer(body: bytes, status: int, text: str) -> None:
    """What it means is for the protocol to say."""
    answer = over_grpc(say(body))
    assert (answer.status, answer.headers["grpc-message"]) == (status, text)


def test_a_method_that_is_not_there_is_an_answer_too() -> None:
    """Status 12, UNIMPLEMENTED."""
    request = Request(method="GRPC", url="/test.Other/Say")
    assert over_grpc(lambda transport: transport.send(request, seconds=5)).status == 12


def test_a_server_that_says_nothing_is_unreachable_in_time() -> None:
    """The deadline is the whole call's."""
    with pytest.raises(Unreachable, match="within"):
        over_grpc(say(b"hang", seconds=0.2))


def test_an_answer_beyond_the_limit_is_cut() -> None:
    """It is not taken, however much there is."""
    with pytest.raises(InvalidAnswer, match="larger than 1000 bytes"):
        over_grpc(say(b"large"), largest_answer=1000)


def test_nobody_there_is_unreachable() -> None:
    """A closed port is an error that a retry can help."""

    async def run() -> None:
        transport = GrpcTransport("127.0.0.1:1")
        try:
            await say(b"a", seconds=2)(transport)
        finally:
            await transport.aclose()

    with pytest.raises(Unreachable):
        asyncio.run(run())
