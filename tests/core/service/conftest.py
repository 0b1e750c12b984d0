"""A real service in a real process, over TLS, and workers that speak to it."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backbeat import Actor
from backbeat.ledger import RemoteLedger, open_ledger
from backbeat.ledger.sql import SqlLedger
from backbeat.ports import Claim, Ending, Message
from backbeat.service import LedgerTokens, Scope, issue

COMMAND = [sys.executable, "-c", "from backbeat.cli.main import main; main()"]
OPERATOR = Actor(id="ops", method="cli")


@dataclass
class Served:
    """A service around a platform's ledger.

    Args:
        folder: The platform's.
        ledger: The address of the ledger behind it.
        url: Where it listens.
        process: The service itself.
    """

    folder: Path
    ledger: str
    url: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    @property
    def file(self) -> Path:
        """The SQLite file behind it."""
        return Path(self.ledger)

    def token(self, scope: str = "worker", *, workflow: str | None = None, days: float = 1) -> str:
        """Issue a token, as `backbeat token issue` does."""
        with closing(_opened(self.ledger)) as ledger:
            book = LedgerTokens(ledger.database)
            fields: dict[str, Any] = {"workflow": workflow, "days": days, "actor": OPERATOR}
            return issue(ledger, book, scope=Scope(scope), **fields)[1]

    def remote(self, scope: str = "worker", **fields: Any) -> RemoteLedger:
        """The ledger as a worker with a fresh token sees it."""
        return RemoteLedger(self.url, token=self.token(scope, **fields))

    def end(self, signal: int) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        os.kill(self.process.pid, signal)
        return self.process.wait(timeout=60)


Start = Callable[..., Served]


def _opened(address: str) -> SqlLedger:
    """A ledger at its database's own address."""
    ledger = open_ledger(address)
    assert isinstance(ledger, SqlLedger)
    return ledger


def _start(
    folder: Path,
    certificate: tuple[Path, Path] | None,
    port: int,
    log: Path,
    ledger: str | None = None,
) -> Served:
    address = ledger or str(folder / "ledger.db")
    settings = {"LEDGER": address, "TRACKING_URI": "none", "LINEAGE_URL": ""}
    words = ["--folder", folder, "serve", "--ledger", "--port", port]
    if certificate:
        words += ["--certificate", certificate[0], "--key", certificate[1]]
    with log.open("a") as errors:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **{f"BACKBEAT_{name}": value for name, value in settings.items()}},
        )
    assert process.stdout is not None
    watchdog = threading.Timer(60, process.kill)  # a service that never speaks ends the wait
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    assert "https://" in line or "http://" in line, log.read_text()
    return Served(folder, address, line.split()[-1], process)


def _stop(served: Served) -> None:
    served.process.kill()
    served.process.wait(timeout=60)
    assert served.process.stdout is not None
    served.process.stdout.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A certificate for 127.0.0.1 that the environment names as trusted; with its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "certificate.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(chain))
        yield chain, secret


@pytest.fixture(scope="session")
def service(
    certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One service for all tests that only speak to it; each names its own work."""
    folder = tmp_path_factory.mktemp("service")
    served = _start(folder / "platform", certificate, 0, folder / "log")
    yield served
    _stop(served)


@pytest.fixture(scope="session")
def service_on_postgres(
    certificate: tuple[Path, Path], postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The same before a ledger on PostgreSQL."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE served TEMPLATE migrated")
    address = postgres.replace("/postgres?", "/served?")
    folder = tmp_path_factory.mktemp("service-on-postgres")
    served = _start(folder / "platform", certificate, 0, folder / "log", address)
    yield served
    _stop(served)


@pytest.fixture
def start_service(certificate: tuple[Path, Path], tmp_path: Path) -> Iterator[Start]:
    """Starts services that a test may kill; whatever is left at the end is killed."""
    with ExitStack() as started:

        def start(folder: Path | None = None, *, port: int = 0, tls: bool = True) -> Served:
            place = folder or tmp_path / "platform"
            served = _start(place, certificate if tls else None, port, tmp_path / "service.log")
            started.callback(_stop, served)
            return served

        yield start


@pytest.fixture
def serving(start_service: Start) -> Callable[[Path], tuple[str, str]]:
    """Starts a service around a platform's folder; returns its URL and a worker's token."""

    def serve(folder: Path) -> tuple[str, str]:
        served = start_service(folder)
        return served.url, served.token()

    return serve


@pytest.fixture
def remote_ledger(service: Served) -> Iterator[RemoteLedger]:
    """A ledger behind a service, as a worker sees it."""
    with closing(service.remote()) as ledger:
        yield ledger


@pytest.fixture
def work(request: pytest.FixtureRequest) -> str:
    """The key of a piece of work that no other test has."""
    return f"sha256:{request.node.name}"


@pytest.fixture
def claim_of(attempt: Callable[..., Any], work: str) -> Callable[..., Claim]:
    """Builds the claim of this test's piece of work."""

    def build(key: str = work, **fields: Any) -> Claim:
        known: dict[str, Any] = {
            "kind": "toy.step/v1",
            "identity": attempt(),
            "step": {"kind": "toy.step/v1"},
            "step_digest": "sha256:step",
            "inputs": {},
            "lease_seconds": 60.0,
            "replay": True,
            "owner": "elsewhere/1/1",
            "nonce": os.urandom(8).hex(),
        }
        return Claim(key=key, **{**known, **fields})

    return build


@pytest.fixture
def done(work: str) -> Ending:
    """An ending that went well, with one message."""
    message = Message(f"m-{work}", "event", {"n": 1})
    return Ending(state="done", outcome={"status": "done"}, messages=[message])


@pytest.fixture
def actor_of() -> Callable[[], Actor]:
    """Whoever runs the service."""
    return lambda: OPERATOR
