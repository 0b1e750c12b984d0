"""Resolving a name for a connection, and refusing what it must not lead to.

What is checked is what is connected to: nothing is resolved again in between.
"""

from __future__ import annotations

import socket
from typing import Any

from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver

from backbeat.addresses.environment import rules_from_environment
from backbeat.addresses.rules import AddressRules

__all__ = ["GuardedResolver"]


class GuardedResolver(AbstractResolver):  # type: ignore[misc]
    """Resolves names for aiohttp; one that leads to a forbidden number is refused altogether.

    A host that is a number already is not resolved: `AddressRules.require` has seen to it.

    Args:
        rules: Those of the environment where None.
        resolver: Asks the name server; the system's own where None.
    """

    def __init__(
        self, rules: AddressRules | None = None, *, resolver: AbstractResolver | None = None
    ) -> None:
        self._rules = rules
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[Any]:
        """The numbers of a name.

        Raises:
            Refused: One of them is not allowed.
            OSError: The name is not known.
        """
        found: list[Any] = await self._resolver.resolve(host, port, family)
        rules = self._rules if self._rules is not None else rules_from_environment()
        for each in found:
            rules.require_ip(each["host"], name=host)
        return found

    async def close(self) -> None:
        """Let go of the name server."""
        await self._resolver.close()
