"""What a webhook may connect to, and how long it listens."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backbeat.addresses import AddressRules
from backbeat.errors import InvalidData, NotFound, Refused, Unreachable
from backbeat.notify.reaching import post, require_target

PUBLIC = AddressRules()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://gate.example/x",
        "https:///x",
        "https://ana:letmein@gate.example/x",
        "https://gate.example/a b",
        "https://gate.example:port/x",
        "https://gate.example/\r\nHost: other",
        "https://gäte.example/x",
        "javascript:alert(1)",
        "",
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    """A wrong address is named before anything is opened, and its password is not shown."""
    with pytest.raises(InvalidData) as caught:
        require_target(url, PUBLIC)
    assert "letmein" not in str(caught.value)


def test_http_is_refused_unless_it_is_on_the_list() -> None:
    """Without a list only https is taken; the list may name an http address."""
    with pytest.raises(Refused, match="show the notice to the network"):
        require_target("http://gate.example/x", PUBLIC)
    with pytest.raises(Refused, match="not among the addresses"):
        require_target("https://other.example/x", AddressRules.of(["http://gate.example"]))
    assert (
        require_target("http://gate.example/x", AddressRules.of(["http://gate.example"])).port == 80
    )


@pytest.mark.parametrize(
    "number",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - it is refused
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:a00:1::",
        "2001:0:a00:1::",
    ],
)
def test_a_name_that_leads_inside_is_refused_before_connecting(number: str) -> None:
    """Private, loopback, link-local, metadata, multicast, also when carried inside another."""
    target = require_target("https://gate.example/x", PUBLIC)
    with pytest.raises(Refused):
        post(target, b"{}", {}, resolve=lambda *_: ["93.184.216.34", number])


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "localhost"])
def test_a_number_in_any_writing_is_refused(host: str) -> None:
    """The system's own resolver reads these as this machine, and none is connected to."""
    with pytest.raises(Refused):
        post(require_target(f"https://{host}/x", PUBLIC), b"{}", {})


def test_a_metadata_address_stays_refused_beside_a_list() -> None:
    """A list that names a host does not allow the host to lead to the cloud's credentials."""
    target = require_target("https://gate.example/x", AddressRules.of(["https://*"]))
    with pytest.raises(Refused, match="metadata"):
        post(target, b"{}", {}, resolve=lambda *_: ["169.254.169.254"])


@contextmanager
def answering(
    answer: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A server of one connection on 127.0.0.1."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            conversation, _ = listening.accept()
            with tls.wrap_socket(conversation, server_side=True) if tls else conversation as talk:
                asked = b""
                while not asked.endswith(b"{}"):
                    asked += talk.recv(65536)
                answer(talk)
        except OSError:
            return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.close()
        thread.join(10)


def said(text: str) -> Callable[[socket.socket], None]:
    """Answers with a text."""
    return lambda talk: talk.sendall(text.encode())


def local(port: int, host: str = "gate.example", scheme: str = "http") -> Any:
    """A target that leads to this machine, as a list allows."""
    return require_target(f"{scheme}://{host}:{port}/x", AddressRules.of([f"{scheme}://{host}:*"]))


def here(*_: Any) -> list[str]:
    """The name server's answer."""
    return ["127.0.0.1"]


def test_a_name_is_resolved_once_and_no_other_number_is_connected_to() -> None:
    """A name server that answers otherwise a moment later (rebinding) is not asked again."""
    asked: list[str] = []

    def once(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    with answering(said("HTTP/1.1 204 No Content\r\n\r\n")) as port:
        post(local(port), b"{}", {}, resolve=once)
    assert asked == ["gate.example"]


def test_a_redirect_is_not_followed() -> None:
    """An answer that points elsewhere is an error; nothing is sent there."""
    answer = "HTTP/1.1 307 Elsewhere\r\nLocation: http://169.254.169.254/latest\r\n\r\n"
    with answering(said(answer)) as port, pytest.raises(NotFound, match="answers 307"):
        post(local(port), b"{}", {}, resolve=here)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Refused), (403, Refused), (404, NotFound), (422, InvalidData), (503, Unreachable)],
)
def test_an_answer_says_whether_trying_again_helps(status: int, kind: type[Exception]) -> None:
    """Each status is the error that its receiver means; 409 says that it was there already."""
    with answering(said(f"HTTP/1.1 {status} X\r\n\r\n")) as port, pytest.raises(kind):
        post(local(port), b"{}", {}, resolve=here)
    with answering(said("HTTP/1.1 409 X\r\n\r\n")) as port:
        post(local(port), b"{}", {}, resolve=here)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("120", 120, 120),
        ("99999999999", 86400, 86400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400, 86400),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0),
    ],
)
def test_retry_after_is_read_and_bounded(header: str, least: float, most: float) -> None:
    """Seconds or a date; a receiver cannot silence itself for longer than a day."""
    answer = f"HTTP/1.1 429 Slow\r\nRetry-After: {header}\r\n\r\n"
    with answering(said(answer)) as port, pytest.raises(Unreachable) as caught:
        post(local(port), b"{}", {}, resolve=here)
    assert caught.value.retry_after is not None
    assert least <= caught.value.retry_after <= most


@pytest.mark.parametrize("header", ["soon", "-1", "", "1e9"])
def test_a_retry_after_that_means_nothing_is_ignored(header: str) -> None:
    """The outbox's own back-off goes on."""
    answer = f"HTTP/1.1 503 Down\r\nRetry-After: {header}\r\n\r\n"
    with answering(said(answer)) as port, pytest.raises(Unreachable) as caught:
        post(local(port), b"{}", {}, resolve=here)
    assert caught.value.retry_after is None


def test_an_answer_that_never_ends_is_cut_and_a_long_one_not_read() -> None:
    """A header a moment for ever ends at the time-out; a body without end is not waited for."""

    def drip(talk: socket.socket) -> None:
        talk.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(1000):
            talk.sendall(f"X-{number}: y\r\n".encode())
            time.sleep(0.05)

    def flood(talk: socket.socket) -> None:
        talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while True:
            talk.sendall(b"x" * 65536)

    began = time.monotonic()
    with answering(drip) as port, pytest.raises(Unreachable):
        post(local(port), b"{}", {}, resolve=here, seconds=0.5)
    with answering(flood) as port:
        post(local(port), b"{}", {}, resolve=here)
    assert time.monotonic() - began < 8


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for gate.example: the server's side, and a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate.example")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("gate.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "both.pem").write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "both.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


def test_the_certificate_is_held_against_the_name_not_the_number(
    certificate: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """Pinned to a number, TLS still asks for the name's certificate and takes no other's."""
    server, client = certificate
    ok = said("HTTP/1.1 200 OK\r\n\r\n")
    with answering(ok, server) as port:
        post(local(port, scheme="https"), b"{}", {}, resolve=here, authorities=client)
    other = "other.example"
    with answering(ok, server) as port, pytest.raises(Unreachable, match="SSLCert"):
        post(local(port, other, "https"), b"{}", {}, resolve=here, authorities=client)
    with answering(ok, server) as port, pytest.raises(Unreachable, match="SSLCert"):
        post(local(port, scheme="https"), b"{}", {}, resolve=here)


def test_nothing_that_listens_is_a_retryable_error() -> None:
    """A receiver that is down is tried again; so is a name that is not known yet."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(Unreachable, match="did not answer"):
        post(local(port), b"{}", {}, resolve=here)

    def unknown(*_: Any) -> list[str]:
        raise socket.gaierror

    with pytest.raises(Unreachable, match="not known"):
        post(local(port), b"{}", {}, resolve=unknown)


def test_the_examples_of_public_addresses_are_public() -> None:
    """The guard does not refuse what it should take."""
    from backbeat.notify.reaching import _is_public

    for number in ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"):
        assert ipaddress.ip_address(number)
        assert _is_public(number)
