"""An HTTP server that fails in one way for each path; on raw sockets, nothing repairs it."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["faulty_server"]

_CHUNK = b" " * 2**20
_GIBIBYTE = 2**30


@contextmanager
def faulty_server() -> Iterator[str]:
    """Run one on the loopback address; yields `127.0.0.1:<port>`.

    `/hang` says nothing, `/cut` ends before its length, `/trickle` sends a byte now and then,
    `/html` is a page, `/large` has a gibibyte, `/crash` resets the connection within its answer,
    `/unframed` is no HTTP, `/status/<code>[/<retry-after>]` is that status.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(
        asyncio.start_server(_answer, "127.0.0.1", 0), loop
    ).result()
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        _, fault, *words = head.split(" ", 2)[1].split("/")
        await _FAULTS[fault](reader, writer, words)
    writer.close()


async def _hang(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: list[str]
) -> None:
    while await reader.read(2**16):
        pass


async def _cut(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: list[str]
) -> None:
    writer.write(_head(200, "content-length: 100") + b'[{"score": 0.5}')
    await writer.drain()


async def _trickle(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: list[str]
) -> None:
    writer.write(_head(200, "content-length: 100000"))
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _html(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: list[str]
) -> None:
    page = b"<html><title>Please log in</title></html>"
    writer.write(_head(200, f"content-length: {len(page)}", kind="text/html") + page)
    await writer.drain()


async def _large(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: list[str]
) -> None:
    writer.write(_head(200, f"content-length: {_GIBIBYTE}"))
    for _ in range(_GIBIBYTE // len(_CHUNK)):
        writer.write(_CHUNK)
        await writer.drain()


async def _crash(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: list[str]
) -> None:
    writer.write(_head(200, "content-length: 100") + b'[{"score"')
    await writer.drain()
    # closed with a reset, as a killed process's connections are
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _unframed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: list[str]
) -> None:
    writer.write(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\r\n\r\n")
    await writer.drain()


async def _status(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: list[str]
) -> None:
    status, *patience = words
    said = [f"retry-after: {patience[0]}"] if patience else []
    writer.write(_head(int(status), "content-length: 4", *said, kind="text/plain") + b"busy")
    await writer.drain()


def _head(status: int, *lines: str, kind: str = "application/json") -> bytes:
    return "\r\n".join(
        [f"HTTP/1.1 {status} ", f"content-type: {kind}", "connection: close", *lines, "", ""]
    ).encode()


_FAULTS = {
    "hang": _hang,
    "cut": _cut,
    "trickle": _trickle,
    "html": _html,
    "large": _large,
    "crash": _crash,
    "unframed": _unframed,
    "status": _status,
}
