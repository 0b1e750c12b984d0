"""A name as the numbers behind it, for who connects by a library that resolves names itself."""

from __future__ import annotations

import asyncio
import socket

from backbeat.addresses.environment import rules_from_environment
from backbeat.addresses.rules import AddressRules

__all__ = ["pinned"]


async def pinned(host: str, port: int, *, rules: AddressRules | None = None) -> list[str]:
    """Numbers of a name, each allowed, for who must hand a number on, as gRPC's channels do.

    Args:
        host: A name or a number.
        port: TCP port.
        rules: Those of the environment where None.

    Returns:
        Such as `ipv4:10.0.0.1:8001`, in the order of the name server.

    Raises:
        Refused: One of them is not allowed.
        OSError: The name is not known.
    """
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    given = rules if rules is not None else rules_from_environment()
    targets = []
    for family, _, _, _, where in infos:
        number = str(where[0])
        given.require_ip(number, name=host)
        targets.append(
            f"ipv6:[{number}]:{port}" if family == socket.AF_INET6 else f"ipv4:{number}:{port}"
        )
    return list(dict.fromkeys(targets))
