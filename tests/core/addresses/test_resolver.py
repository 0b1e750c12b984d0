"""What a name resolves to is what is checked, and what is connected to."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
import grpc.aio
import pytest
from aiohttp.abc import AbstractResolver

from backbeat.addresses import AddressRules
from backbeat.addresses.pinned import pinned
from backbeat.addresses.resolver import GuardedResolver
from backbeat.errors import Refused
from backbeat.testing import ModelServer, model_server


class Rebinding(AbstractResolver):
    """A name server that says another number each time."""

    def __init__(self, *numbers: list[str]) -> None:
        self.numbers = list(numbers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[Any]:
        found = self.numbers.pop(0)
        return [
            {
                "hostname": host,
                "host": number,
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for number in found
        ]

    async def close(self) -> None:
        pass


async def _status(server: ModelServer, resolver: GuardedResolver) -> int:
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://churn.example.com:{server.port}/v1/models/double") as answer,
    ):
        return answer.status


def test_a_name_that_is_bound_anew_leads_to_no_metadata() -> None:
    """The second answer of the name server is refused although the first was good."""

    async def run(server: ModelServer) -> None:
        names = Rebinding(["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1", "169.254.169.254"])
        resolver = GuardedResolver(resolver=names)
        assert await _status(server, resolver) == 200
        for _ in range(2):
            with pytest.raises(Refused, match=r"churn\.example\.com leads to 169\.254\.169\.254"):
                await _status(server, resolver)

    with model_server() as server:
        asyncio.run(run(server))


def test_the_systems_own_names_are_resolved() -> None:
    """`localhost` leads to this machine."""

    async def run() -> set[str]:
        resolver = GuardedResolver()
        try:
            return {each["host"] for each in await resolver.resolve("localhost", 80)}
        finally:
            await resolver.close()

    assert asyncio.run(run()) & {"127.0.0.1", "::1"}


def test_a_channel_gets_numbers_that_were_checked() -> None:
    """A channel connects to what `pinned` gives for a name."""

    async def say(body: bytes, _: Any) -> bytes:
        return body * 2

    async def run() -> bytes:
        server = grpc.aio.server()
        method = grpc.unary_unary_rpc_method_handler(say)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Echo", {"Say": method}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        targets = [each for each in await pinned("localhost", port) if each.startswith("ipv4:")]
        try:
            async with grpc.aio.insecure_channel(targets[0]) as channel:
                answer: bytes = await channel.unary_unary("/test.Echo/Say")(b"x", timeout=5)
        finally:
            await server.stop(0)
        return answer

    assert asyncio.run(run()) == b"xx"


def test_a_forbidden_number_is_not_handed_on() -> None:
    """A number, as a name, is looked at."""
    with pytest.raises(Refused):
        asyncio.run(pinned("169.254.169.254", 8001, rules=AddressRules()))
