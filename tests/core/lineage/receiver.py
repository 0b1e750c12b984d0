"""An HTTP endpoint that keeps what it gets, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What an endpoint on 127.0.0.1 has received.

    Args:
        url: Where it listens.
        answers: Status and headers of the next answers, used up one by one; then 201.
        requests: Headers (lower case) and body of every request, in order.
    """

    url: str
    answers: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    requests: list[tuple[dict[str, str], Any]] = field(default_factory=list)

    @property
    def kept(self) -> dict[str, Any]:
        """What a receiver that honours Idempotency-Key keeps: the first body of each key."""
        first: dict[str, Any] = {}
        for headers, body in self.requests:
            first.setdefault(headers["idempotency-key"], body)
        return first


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A server for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(({**headers, "path": self.path}, json.loads(body)))
            status, extra = receiver.answers.pop(0) if receiver.answers else (201, {})
            self.send_response(status)
            for name, value in {**extra, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Nothing to standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/api/v1/lineage")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
