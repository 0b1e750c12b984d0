"""The seam between protocols and the network: one verb, two carriers, and room for a test's own."""

from __future__ import annotations

from typing import Protocol

from backbeat.inference.message import Request, Response

__all__ = ["Transport"]


class Transport(Protocol):
    """Carries one request to one server and brings back its whole answer.

    It keeps connections open between calls, is used by one event loop, follows no redirect, and
    tries nothing again: that is the client's to decide.
    """

    async def send(self, request: Request, *, seconds: float) -> Response:
        """Send a request and read its answer.

        Args:
            request: What to send.
            seconds: For everything: connecting, sending, and the last byte of the answer.

        Raises:
            Unreachable: No connection, no answer in time, or a cut one; a retry can help.
            Refused: The server's certificate is not trusted, or it does not trust ours.
            InvalidAnswer: The answer is larger than allowed.
        """

    async def aclose(self) -> None:
        """Close all connections."""
