"""A real S3 server, and a real proxy before it that can be told to misbehave."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from backbeat.data import FolderStore, open_store
from backbeat.ports import Store

SECRET = "aKeyThatNobodyMaySee"  # noqa: S105 - moto takes any
# what to answer instead of the server, or None to hand the request on with its headers changed
Meddle = Callable[[str, str, dict[str, str]], tuple[int, str] | None]


@dataclass(frozen=True)
class S3:
    """A server that speaks S3 on this machine."""

    url: str

    def bucket(self, name: str) -> str:
        """Make a bucket; returns its address."""
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            assert answer.status == 200
        return f"s3://{name}"

    def objects(self, name: str) -> list[str]:
        """Every object of a bucket, without backbeat's own code."""
        with urllib.request.urlopen(f"{self.url}/{name}?list-type=2") as answer:  # noqa: S310
            return re.findall(r"<Key>(.*?)</Key>", answer.read().decode())


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """Moto's server, a process of its own on a port that the system chose."""
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = ""
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            url = found[0]
            break
    assert url, "moto's server did not start"
    # nobody reads its log, and a full pipe would stop it
    reader = threading.Thread(target=process.stderr.read, daemon=True)
    reader.start()
    yield S3(url)
    process.terminate()
    process.wait(timeout=30)
    reader.join(timeout=30)
    process.stderr.close()


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, with the environment that leads to it."""
    environment = {
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def bucket(s3: S3, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own."""
    return s3.bucket(f"t{abs(hash(request.node.nodeid)):x}")


@pytest.fixture(params=["folder", "bucket", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of each kind, empty."""
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    if request.param == "memory":
        return open_store(f"memory://{tmp_path.name}/store")
    return open_store(f"{request.getfixturevalue('bucket')}/a/prefix")


@pytest.fixture
def between(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Meddle], None]]:
    """Puts a proxy between this process and the S3 server."""
    running: list[ThreadingHTTPServer] = []

    def start(meddle: Meddle) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(s3.url, meddle))
        running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def _handler(target: str, meddle: Meddle) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            instead = meddle(self.command, self.path, headers)
            if instead is None:
                status, answered, content = self._asked(headers, body)
            else:
                status, answered, content = instead[0], {}, instead[1].encode()
            self.send_response(status)
            for name, value in answered.items():
                if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                    self.send_header(name, value)
            length = answered.get("Content-Length", len(content))
            self.send_header("Content-Length", str(length if not content else len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _asked(self, headers: dict[str, str], body: bytes) -> tuple[int, Any, bytes]:
            with closing(HTTPConnection(target.removeprefix("http://"))) as server:
                server.request(self.command, self.path, body, headers)
                answer = server.getresponse()
                return answer.status, answer.headers, answer.read()

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    return Handler
