from __future__ import annotations

import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from backbeat import embedded
from backbeat.errors import InvalidData, Refused, UnmetNeed, Unreachable
from backbeat.ledger import RemoteLedger, SqliteLedger
from backbeat.ports import Ending
from backbeat.service import Certificate, serve_ledger

Make = Callable[..., Any]


class Wire:
    """A TCP connection's way to the service, that can be cut in a chosen moment.

    Args:
        port: The service's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        # what happens when bytes flow this way; they are swallowed and the connection ends
        self.on_call: Callable[[], None] | None = None
        self.on_answer: Callable[[], None] | None = None
        self._happening = threading.Lock()  # until it is over, nobody hears that the wire is cut
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                worker, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(worker,), daemon=True).start()

    def _connect(self, worker: socket.socket) -> None:
        here = ("127.0.0.1", self._port)
        with worker, suppress(OSError), socket.create_connection(here) as service:
            back = threading.Thread(target=self._carry, args=(service, worker, "on_answer"))
            back.start()
            self._carry(worker, service, "on_call")
            back.join()

    def _carry(self, source: socket.socket, target: socket.socket, name: str) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                happens = getattr(self, name)
                if happens is not None:
                    setattr(self, name, None)
                    with self._happening:
                        happens()
                    break
                target.sendall(data)
        with self._happening:
            for end in (source, target):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire_to() -> Iterator[Callable[[int], Wire]]:
    """Lays wires to services."""
    laid: list[Wire] = []

    def lay(port: int) -> Wire:
        laid.append(Wire(port))
        return laid[-1]

    yield lay
    for wire in laid:
        wire.close()


@pytest.mark.parametrize("moment", ["on_call", "on_answer"])
def test_a_service_killed_in_a_finish_records_it_once(
    start_service: Make,
    wire_to: Callable[[int], Wire],
    claim_of: Make,
    done: Ending,
    work: str,
    rows: Make,
    moment: str,
) -> None:
    """Killed before the commit or after it, the repeated finish is accepted and is on record once.

    The worker notices nothing but the time that it took.
    """
    first = start_service()
    wire = wire_to(first.port)
    worker = RemoteLedger(wire.address, token=first.token())
    worker.claim(claim_of())
    states: list[str] = []

    def kill_and_restart() -> None:
        first.end(9)
        query = "SELECT state FROM backbeat_runs"
        states.extend(row["state"] for row in rows(first.file, query))
        start_service(first.folder, port=first.port)

    setattr(wire, moment, kill_and_restart)
    worker.finish(work, 1, done)
    assert states == ["claimed" if moment == "on_call" else "done"]
    record = worker.run(work)
    assert record is not None
    assert (record.state, record.token) == ("done", 1)
    actions = [
        row["action"]
        for row in rows(first.file, "SELECT action FROM backbeat_audit_log ORDER BY position")
    ]
    assert actions == ["token.issue", "run.start", "run.finish"]
    assert len(rows(first.file, "SELECT id FROM backbeat_outbox WHERE id = ?", f"m-{work}")) == 1


@pytest.mark.parametrize("verb", ["claim", "append"])
def test_a_lost_answer_is_no_second_effect(
    service: Any, wire_to: Callable[[int], Wire], claim_of: Make, work: str, verb: str
) -> None:
    """A claim or an append whose answer was lost is found by its repetition, not done again."""
    wire = wire_to(service.port)
    worker = RemoteLedger(wire.address, token=service.token())
    assert worker.runs(state="nothing") == []
    lost: list[bool] = []
    wire.on_answer = lambda: lost.append(True)
    if verb == "claim":
        granted: Any = worker.claim(claim_of())
        assert granted.token == 1
        assert len(worker.attempts(work)) == 1
    else:
        fields: dict[str, Any] = {"category": "c", "state": "x", "due": None, "audit": []}
        additions = [("a", {"n": 1.0, "t": (1, 2)}), ("b", {})]
        assert worker.append(work, additions, expected=0, **fields) == 2
        assert [event.kind for event in worker.read(work)] == ["a", "b"]
    assert lost == [True]


def test_a_service_ends_when_it_is_told_to(start_service: Make) -> None:
    """SIGTERM closes the ledger cleanly: nothing of its log is left to recover."""
    served = start_service(tls=False)
    assert served.url.startswith("http://127.0.0.1:")
    assert served.remote().runs() == []
    assert served.end(15) == 0
    assert not served.file.with_name("ledger.db-wal").exists()


def test_time_passes_in_the_service(start_service: Make, claim_of: Make, done: Ending) -> None:
    """Without any cron job, what waits in the outbox leaves."""
    served = start_service()
    worker = served.remote()
    from backbeat.ports import Message

    body = {"eventType": "START", "eventTime": "2026-11-22T02:00:00Z", "run": {"runId": "r"}}
    body |= {"job": {"namespace": "n", "name": "ticked"}}
    worker.claim(claim_of(messages=[Message("ticked", "openlineage", body)]))
    ended = threading.Event()
    for _ in range(300):
        if any("ticked" in path.read_text() for path in served.folder.rglob("lineage/**/*.json")):
            break
        ended.wait(0.1)
    else:
        pytest.fail("nothing left within half a minute")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])  # noqa: S104 - refused
def test_plain_http_is_for_this_machine_only(tmp_path: Path, host: str) -> None:
    """Tokens never cross a network in plain: TLS is demanded before anything listens."""
    with pytest.raises(Refused, match="would show tokens to the network") as caught:
        serve_ledger(embedded(tmp_path), host=host, port=0, listening=pytest.fail)
    assert "--certificate" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", ["missing", "nonsense", "other key", "password"])
def test_a_certificate_that_cannot_be_used_is_named(
    tmp_path: Path, certificate: tuple[Path, Path], case: str
) -> None:
    """A missing, foreign or locked file is an error before anything listens."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    chain, key = certificate
    other = tmp_path / "key.pem"
    if case == "nonsense":
        other.write_text("nonsense")
    elif case != "missing":
        locked = serialization.BestAvailableEncryption(b"locked")
        lock = locked if case == "password" else serialization.NoEncryption()
        other.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock
            )
        )
    with pytest.raises(InvalidData, match=r"key\.pem: ") as caught:
        serve_ledger(
            embedded(tmp_path / "p"),
            host="127.0.0.1",
            port=0,
            certificate=Certificate(chain, other),
            listening=pytest.fail,
        )
    assert "belong together" in caught.value.hint
    assert not (tmp_path / "p").exists()
    assert key.exists()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """Two services do not share a port: the second says what to choose."""
    platform = embedded(tmp_path)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable, match=f"listen on 127.0.0.1:{port}") as caught:
            serve_ledger(platform, host="127.0.0.1", port=port, listening=pytest.fail)
    assert "--port" in caught.value.hint


def test_a_service_before_a_service_is_refused(service: Any, tmp_path: Path) -> None:
    """Tokens live beside the ledger itself, which this process must reach."""
    platform = embedded(tmp_path, ledger=service.url, ledger_token=service.token())
    with pytest.raises(UnmetNeed, match="behind a service"):
        serve_ledger(platform, host="127.0.0.1", port=0, listening=pytest.fail)


def test_a_certificate_of_another_authority_is_not_trusted(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot prove to be the service hears no token."""
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    worker = RemoteLedger(service.url, token=service.token())
    with pytest.raises(
        Refused, match=r"certificate of https://127.0.0.1:.* is not trusted"
    ) as said:
        worker.runs()
    assert "SSL_CERT_FILE" in said.value.hint


def test_a_certificate_for_another_name_is_not_trusted(service: Any) -> None:
    """The name must be the one that was asked for."""
    worker = RemoteLedger(service.url.replace("127.0.0.1", "localhost"), token=service.token())
    with pytest.raises(Refused, match="is not trusted: Hostname mismatch"):
        worker.runs()


def test_old_tls_is_not_spoken(service: Any) -> None:
    """TLS 1.1 and older end in the handshake."""
    context = ssl.create_default_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", service.port)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_the_ledger_stays_whole(service: Any) -> None:
    """After all that was tried here, every audit entry still has its hash."""
    assert SqliteLedger(service.file).check()["audit_broken"] == []
