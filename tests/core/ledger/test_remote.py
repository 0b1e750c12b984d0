from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import (
    BackbeatError,
    Conflict,
    InvalidData,
    LeaseHeld,
    NotFound,
    Refused,
    Unreachable,
)
from backbeat.ledger import RemoteLedger, remote
from backbeat.ports import Budget, Ending, Ledger

Make = Callable[..., Any]
TOKEN = "bb1.a.secret"  # noqa: S105 - an example


class Server(ThreadingHTTPServer):
    """A server on this machine that answers calls as a test says, in order; the last repeats."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[tuple[int, Any] | None] = []
        self.heard: list[tuple[str, str | None]] = []
        self.connections = 0
        self.address = f"http://127.0.0.1:{self.server_port}"

    def says(self, *script: tuple[int, Any] | None) -> None:
        """Answer with a status and a body (JSON, text or an error); None hangs up instead."""
        self.script = list(script)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, self.headers["Authorization"]))
        script = self.server.script
        answer = script.pop(0) if len(script) > 1 else script[0]
        if answer is None:
            self.close_connection = True
            return
        status, said = answer
        body = said if isinstance(said, str) else json.dumps(_form(said))
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"{self.server.address}/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _form(said: Any) -> Any:
    return said.as_json() if isinstance(said, BackbeatError) else {"answer": said}


@pytest.fixture
def server() -> Iterator[Server]:
    """A server in place of a ledger service."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives up within a second, where a test is about giving up."""
    monkeypatch.setattr(remote, "_PATIENCE_SECONDS", 0.5)


def test_it_has_every_verb_of_the_port() -> None:
    """What a ledger can do, this one can, with the same parameters."""
    for name, verb in inspect.getmembers(Ledger, inspect.isfunction):
        if not name.startswith("_"):
            ours = inspect.signature(getattr(RemoteLedger, name))
            assert ours.parameters == inspect.signature(verb).parameters, name


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://", "is no https:// URL"),
        ("ftp://host", "is no https:// URL"),
        ("host:8765", "is no https:// URL"),
        ("https://host/?token=bb1.a.secret", "is no https:// URL"),
        ("https://host:port", "is no URL"),
        ("https://[host", "is no URL"),
        ("https://me:secret@host", "holds a user or a password"),
        ("http://ledger.example.org", "would show the token to the network"),
        ("http://127.0.0.1.example.org", "would show the token to the network"),
    ],
)
def test_an_address_that_is_unsafe_or_none_is_refused(address: str, message: str) -> None:
    """It is named before anything is sent, and no secret in it is shown."""
    with pytest.raises(InvalidData, match=message) as caught:
        RemoteLedger(address, token=TOKEN)
    assert caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://host", "https://host:8765/", "http://localhost:1", "http://[::1]:1"]
)
def test_a_ledger_is_made_without_a_network(address: str) -> None:
    """Nothing is opened or resolved until a verb is called."""
    RemoteLedger(address, token=TOKEN).close()


def test_the_token_may_lie_in_a_file(server: Server, tmp_path: Path) -> None:
    """The file is read at each call, so that a rotated secret needs no restart."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    server.says((200, []))
    ledger = RemoteLedger(server.address, token=str(file))
    ledger.runs()
    file.write_text("bb1.b.other")
    ledger.runs()
    RemoteLedger(server.address, token=file).runs()
    RemoteLedger(server.address).runs()
    assert [authorization for _, authorization in server.heard] == [
        f"Bearer {TOKEN}",
        "Bearer bb1.b.other",
        "Bearer bb1.b.other",
        None,
    ]


@pytest.mark.parametrize("content", [None, b"", b"secret", b"bb1.a.se cret", b"bb1.a.\xff"])
def test_what_is_no_token_is_not_shown(
    server: Server, tmp_path: Path, content: bytes | None
) -> None:
    """A mistyped token must not appear in a log as if it were the path of a file."""
    token = "a-secret-of-another-kind"  # noqa: S105 - an example
    if content is not None:
        token = str(tmp_path / "token")
        Path(token).write_bytes(content)
    with pytest.raises(InvalidData, match="the ledger token") as caught:
        RemoteLedger(server.address, token=token).runs()
    assert "secret" not in str(caught.value)
    assert server.heard == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(server: Server, status: int) -> None:
    """The token goes to the address that was given, and nowhere else."""
    server.says((status, ""))
    with pytest.raises(NotFound, match=f"there is no ledger service at .* \\(status {status}\\)"):
        RemoteLedger(server.address, token=TOKEN).runs()
    assert [path for path, _ in server.heard] == ["/ledger/v1/runs"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((404, "<html>"), NotFound),
        ((200, "<html>"), NotFound),
        ((200, "3"), NotFound),
        ((200, {"not": "a list"}), NotFound),
        ((401, "<html>"), Refused),
        ((403, "<html>"), Refused),
    ],
)
def test_a_server_that_is_no_ledger_is_named(
    server: Server, answer: tuple[int, Any], kind: type[BackbeatError]
) -> None:
    """A foreign page is an error that a retry cannot cure, asked for once."""
    server.says(answer)
    with pytest.raises(kind, match=server.address):
        RemoteLedger(server.address, token=TOKEN).runs()
    assert len(server.heard) == 1


@pytest.mark.parametrize("lost", [None, (500, ""), (502, "<html>"), (503, ""), (429, "")])
def test_a_lost_answer_is_asked_for_again(server: Server, lost: tuple[int, Any] | None) -> None:
    """A connection that breaks, or a proxy whose service restarts, costs time and nothing else."""
    server.says(lost, lost, (200, []))
    assert RemoteLedger(server.address, token=TOKEN).runs() == []
    assert len(server.heard) == 3


def test_a_busy_database_is_asked_again(server: Server) -> None:
    """What the service calls Unreachable is repeated after its own time."""
    server.says((503, Unreachable("standby", hint="wait", retry_after=0.1)), (200, []))
    assert RemoteLedger(server.address, token=TOKEN).runs() == []


@pytest.mark.usefixtures("hasty")
def test_a_long_pause_is_the_orchestrators(server: Server) -> None:
    """An error that asks for more patience than a call has is raised as it is, at once."""
    server.says((503, Unreachable("standby", hint="wait", retry_after=60)))
    with pytest.raises(Unreachable, match="standby") as caught:
        RemoteLedger(server.address, token=TOKEN).runs()
    assert (caught.value.retry_after, len(server.heard)) == (60, 1)


@pytest.mark.parametrize("kind", [LeaseHeld, Conflict, Refused])
def test_an_answer_that_says_no_is_not_repeated(server: Server, kind: type[BackbeatError]) -> None:
    """Only silence is repeated."""
    server.says((409, kind("no", hint="x", retry_after=1)))
    with pytest.raises(kind):
        RemoteLedger(server.address, token=TOKEN).release("x", holder="y")
    assert len(server.heard) == 1


@pytest.mark.usefixtures("hasty")
def test_a_service_that_stays_away_is_unreachable(server: Server) -> None:
    """After its patience the error says where nobody answered, and that a retry can help."""
    server.says(None)
    with pytest.raises(Unreachable, match=f"{server.address} did not answer") as caught:
        RemoteLedger(server.address, token=TOKEN).finish("k", 1, Ending("done", {}))
    assert len(server.heard) > 1
    assert caught.value.retryable
    assert TOKEN not in str(caught.value)


@pytest.mark.usefixtures("hasty")
def test_a_port_without_a_service_is_unreachable() -> None:
    """Nobody listens: the reason is named without an object's address in memory."""
    with pytest.raises(Unreachable, match=r"did not answer: .*refused") as caught:
        RemoteLedger("http://127.0.0.1:1", token=TOKEN).runs()
    assert "0x" not in caught.value.message


def test_a_budget_is_spent_at_most_once(server: Server) -> None:
    """A spend that may have been heard is never said again."""
    server.says(None, (200, True))
    with pytest.raises(Unreachable):
        RemoteLedger(server.address, token=TOKEN).spend(Budget("b", 1), cost=1)
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        ([("a", {"n": [1, 2]})], True),
        ([("a", {"n": [1, 2]}), ("later", {})], True),
        ([("a", {"n": [1, 3]})], False),
        ([("b", {"n": [1, 2]})], False),
        ([], False),
    ],
)
def test_a_conflict_after_a_lost_answer_may_be_ours(
    server: Server, found: list[tuple[str, Any]], ours: bool
) -> None:
    """The stream is read and compared: exactly our events count as ours, anything else does not."""
    at = "2026-11-22T02:00:00Z"
    events = [
        {"version": number, "kind": kind, "at": at, "body": body}
        for number, (kind, body) in enumerate([("first", {}), *found], start=1)
    ]
    server.says(None, (409, Conflict("moved on", hint="read")), (200, events))
    ledger = RemoteLedger(server.address, token=TOKEN)
    fields: dict[str, Any] = {"category": "c", "state": "x", "due": None, "audit": []}
    if ours:
        assert ledger.append("s", [("a", {"n": (1, 2)})], expected=1, **fields) == 2
    else:
        with pytest.raises(Conflict, match="moved on"):
            ledger.append("s", [("a", {"n": (1, 2)})], expected=1, **fields)
    assert [path.rpartition("/")[2] for path, _ in server.heard] == ["append", "append", "read"]


def test_a_conflict_at_once_is_anothers(server: Server) -> None:
    """Where no answer was lost, the first conflict is raised without a look at the stream."""
    server.says((409, Conflict("moved on", hint="read")))
    fields: dict[str, Any] = {"category": "c", "state": "x", "due": None, "audit": []}
    with pytest.raises(Conflict):
        RemoteLedger(server.address, token=TOKEN).append("s", [("a", {})], expected=0, **fields)
    assert len(server.heard) == 1


def test_connections_are_kept(server: Server) -> None:
    """Calls share a connection until the ledger is closed, and then a new one is made."""
    server.says((200, []))
    ledger = RemoteLedger(server.address, token=TOKEN)
    for _ in range(3):
        ledger.runs()
    assert server.connections == 1
    ledger.close()
    ledger.runs()
    assert server.connections == 2


def test_a_connection_does_not_cross_a_fork(server: Server, start_python: Make) -> None:
    """Parent and child speak over connections of their own, and neither ends the other's."""
    server.says((200, []))
    source = """
import os, sys
from backbeat.ledger import RemoteLedger
ledger = RemoteLedger(sys.argv[1], token="bb1.a.b")
ledger.runs()
child = os.fork()
if child == 0:
    ledger.runs()
    ledger.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
ledger.runs()
"""
    process = start_python(source, server.address)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert (len(server.heard), server.connections) == (3, 2)


def test_a_worker_without_urllib3_hears_what_to_install(start_python: Make) -> None:
    """The extra is named where it is missing."""
    source = """
import sys
sys.modules["urllib3"] = None
from backbeat.errors import UnmetNeed
from backbeat.ledger import open_ledger
try:
    open_ledger("https://host", token="bb1.a.b")
except UnmetNeed as error:
    print(error.hint)
"""
    out, errors = start_python(source).communicate(timeout=60)
    assert out == 'pip install "backbeat[remote]"\n', errors
