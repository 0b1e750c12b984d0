"""A request's parts on their way through aiohttp, sent as they lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp.payload import Payload

from backbeat.inference.message import Buffer

__all__ = ["Parts"]

# what is not sent at once is copied into the socket's buffer, so hand over little at a time
_PIECE = 2**18
_BESIDE_THE_HEADERS = 2**14


class Parts(Payload):  # type: ignore[misc]
    """The body of a request as a whole of a known size.

    Args:
        parts: Sent one after the other.
    """

    _autoclose = True

    def __init__(self, parts: Sequence[Buffer]) -> None:
        super().__init__(parts)
        self._views = [memoryview(part).cast("B") for part in parts]
        self._size = sum(view.nbytes for view in self._views)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return b"".join(self._views).decode(encoding, errors)

    async def write(self, writer: Any) -> None:
        """Send everything."""
        if self._size <= _BESIDE_THE_HEADERS:
            await writer.write(b"".join(self._views))
            return
        # else they would be joined with the first piece into one copy
        writer.send_headers()
        for view in self._views:
            for start in range(0, view.nbytes, _PIECE):
                await writer.write(view[start : start + _PIECE])

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        """Send everything: the size is known, so there is no other length."""
        await self.write(writer)
