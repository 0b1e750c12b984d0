"""The HTTP carrier on real sockets: what it refuses to follow, to hold, to trust and to tell."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from backbeat.errors import BackbeatError, InvalidAnswer, InvalidStep, Refused, Unreachable
from backbeat.inference.credentials import ClientCredentials, Credentials
from backbeat.inference.http_transport import HttpTransport
from backbeat.inference.message import Request, Response
from backbeat.inference.tls import Tls

SECRET = "hunter2-0123456789"  # noqa: S105 - the one that must not be seen


class Site:
    """A server of the test's own."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.peers: set[Any] = set()
        self.tokens = 0
        self.good_token = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:  # noqa: PLR0911 - a table
        """By the path."""
        self.asked.append(request)
        self.peers.add(request.transport.get_extra_info("peername"))
        match request.path:
            case "/away":
                raise web.HTTPFound("http://127.0.0.1:9/elsewhere?key=" + SECRET)
            case "/bomb":
                body = gzip.compress(b" " * 2**24)
                return web.Response(body=body, headers={"content-encoding": "gzip"})
            case "/echo":
                return web.Response(body=await request.read())
            case "/token":
                form = await request.post()
                self.tokens += 1
                if form["client_secret"] != SECRET:
                    return web.json_response({"error": "invalid_client"}, status=401)
                self.good_token = f"t{self.tokens}"
                return web.json_response({"access_token": self.good_token, "expires_in": 3600})
            case "/guarded":
                good = request.headers.get("authorization") == f"Bearer {self.good_token}"
                return web.Response(status=200 if good else 401)
            case "/cookie":
                return web.Response(headers={"set-cookie": "session=1"})
        return web.Response(text="well")


def talk(
    use: Callable[[str, Site], Awaitable[Any]], *, context: ssl.SSLContext | None = None
) -> tuple[Any, Site]:
    """Run something against a site on the loopback address."""

    async def run() -> tuple[Any, Site]:
        site = Site()
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{rest:.*}", site.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        scheme = "https" if context else "http"
        try:
            return await use(f"{scheme}://127.0.0.1:{runner.addresses[0][1]}", site), site
        finally:
            await runner.cleanup()

    return asyncio.run(run())


async def send(
    origin: str, path: str = "/", *, body: tuple[bytes, ...] = (), **given: Any
) -> Response:
    """One request over a transport of its own."""
    transport = HttpTransport(**given)
    method = "POST" if body else "GET"
    try:
        return await transport.send(
            Request(method=method, url=origin + path, body=body), seconds=10
        )
    finally:
        await transport.aclose()


def test_parts_arrive_as_one_body_of_a_known_size() -> None:
    """Small and large bodies alike, from whatever lies in memory."""
    for size in (10, 2**20 + 7):
        parts = (b"a" * size, bytearray(b"b" * size), memoryview(b"c" * size))
        answer, site = talk(lambda origin, _, p=parts: send(origin, "/echo", body=p))
        assert bytes(answer.body) == b"".join(parts)
        assert site.asked[0].headers["content-length"] == str(3 * size)


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    """Rows and secrets go where the address says, and nowhere else."""
    answer, site = talk(lambda origin, _: send(origin, "/away"))
    assert answer.status == 302
    assert len(site.asked) == 1


def test_connections_are_kept_and_no_cookie_is() -> None:
    """Twenty requests in turn go over one connection, and carry nothing from one to the next."""

    async def use(origin: str, _: Site) -> None:
        transport = HttpTransport()
        for _number in range(20):
            await transport.send(Request(method="GET", url=f"{origin}/cookie"), seconds=5)
        await transport.aclose()

    _, site = talk(use)
    assert len(site.peers) == 1
    assert not any("cookie" in asked.headers for asked in site.asked)


def test_a_compressed_answer_is_not_unpacked_beyond_the_limit() -> None:
    """Sixteen mebibytes in a few kilobytes are cut like any other large answer."""
    with pytest.raises(InvalidAnswer, match="larger than 1000000 bytes"):
        talk(lambda origin, _: send(origin, "/bomb", largest_answer=1_000_000))


def test_a_closed_port_is_unreachable() -> None:
    """A retry can help."""
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:1 cannot be reached"):
        asyncio.run(send("http://127.0.0.1:1", f"/x?key={SECRET}"))


@pytest.mark.parametrize("path", ["/cut", "/html"])
def test_no_error_holds_the_url_or_a_header(path: str) -> None:
    """Where a secret was, an error shows the origin alone."""

    async def run() -> None:
        server = await asyncio.start_server(_rude, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(BackbeatError) as caught:
            await send(
                origin,
                f"{path}?key={SECRET}",
                credentials=Credentials(origin=origin, bearer=SecretStr(SECRET)),
            )
        shown = (
            f"{caught.value} {caught.value!r} {caught.value.__cause__} {caught.value.__context__}"
        )
        assert SECRET not in shown
        server.close()

    asyncio.run(run())


async def _rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    if "/cut" in head:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    else:
        writer.write(b"<html>" + head.encode() + b"</html>\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("way", "name", "value"),
    [
        ({"bearer": SecretStr(SECRET)}, "authorization", f"Bearer {SECRET}"),
        ({"header": ("X-Api-Key", SecretStr(SECRET))}, "x-api-key", SECRET),
        (
            {"basic": ("ann", SecretStr("p"))},
            "authorization",
            "Basic YW5uOnA=",
        ),
    ],
)
def test_who_we_are_is_told_to_its_origin_alone(way: dict[str, Any], name: str, value: str) -> None:
    """Another port of the same host is another origin."""

    async def use(origin: str, _: Site) -> None:
        await send(origin, credentials=Credentials(origin=origin, **way))
        await send(origin, credentials=Credentials(origin="http://127.0.0.1:9", **way))

    _, site = talk(use)
    assert site.asked[0].headers[name] == value
    assert name not in site.asked[1].headers


def test_a_secret_is_never_sent_in_the_clear_to_another_machine() -> None:
    """Over http it goes to this machine only; an issuer of tokens is held to the same."""
    with pytest.raises(InvalidStep, match="in the clear over http"):
        Credentials(origin="http://models.example:80", bearer=SecretStr(SECRET))
    with pytest.raises(InvalidStep, match="in the clear"):
        Credentials(
            origin="https://models.example",
            oidc=ClientCredentials(
                token_url="http://login.example/token",  # noqa: S106
                client_id="c",
                client_secret=SecretStr(SECRET),
            ),
        )
    shown = repr(Credentials(origin="https://models.example", bearer=SecretStr(SECRET)))
    assert SECRET not in shown


def test_one_token_serves_all_requests_and_is_renewed_when_it_is_refused() -> None:
    """Twenty requests at once ask for one token; a 401 asks for another one, once."""

    async def use(origin: str, site: Site) -> list[int]:
        oidc = ClientCredentials(
            token_url=f"{origin}/token", client_id="c", client_secret=SecretStr(SECRET)
        )
        transport = HttpTransport(credentials=Credentials(origin=origin, oidc=oidc))
        request = Request(method="GET", url=f"{origin}/guarded")
        answers = await asyncio.gather(*(transport.send(request, seconds=5) for _ in range(20)))
        assert site.tokens == 1
        site.good_token = "withdrawn"  # noqa: S105
        answers.append(await transport.send(request, seconds=5))
        await transport.aclose()
        return [answer.status for answer in answers]

    statuses, site = talk(use)
    assert statuses == [200] * 21
    assert site.tokens == 2


def test_an_issuer_that_knows_us_not_is_a_refusal() -> None:
    """It is not tried again, and the error holds no secret."""

    async def use(origin: str, _: Site) -> None:
        oidc = ClientCredentials(
            token_url=f"{origin}/token", client_id="c", client_secret=SecretStr("wrong-" + SECRET)
        )
        await send(origin, "/guarded", credentials=Credentials(origin=origin, oidc=oidc))

    with pytest.raises(Refused, match="gives no token to the client 'c'") as caught:
        talk(use)
    assert SECRET not in str(caught.value)


def _certificate(
    folder: Path, name: str, authority: tuple[Any, Any] | None = None
) -> tuple[Any, Any]:
    """A key and a certificate for 127.0.0.1, as files `<name>.pem` that hold both."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key, issuer = authority or (key, None)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(pem))
    return key, certificate


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """An authority, a server, a client, and a stranger who certifies himself."""
    authority = _certificate(tmp_path, "authority")
    for name in ("server", "client"):
        _certificate(tmp_path, name, authority)
    _certificate(tmp_path, "stranger")
    return tmp_path


def _server_side(folder: Path, *, wants_client: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "authority.crt")
    return context


def test_a_certificate_must_be_of_a_trusted_authority(certificates: Path) -> None:
    """With its authority it is taken; without it is refused, which no retry helps."""
    context = _server_side(certificates)
    tls = Tls(authorities=certificates / "authority.crt")
    answer, _ = talk(lambda origin, _: send(origin, tls=tls), context=context)
    assert answer.status == 200
    with pytest.raises(Refused, match="is not trusted"):
        talk(lambda origin, _: send(origin), context=_server_side(certificates))


@pytest.mark.parametrize(("name", "taken"), [("client", True), ("stranger", False), (None, False)])
def test_a_server_can_want_a_certificate_of_ours(
    certificates: Path,
    name: str | None,
    taken: bool,
) -> None:
    """Ours of its authority is taken; another one, or none, is not."""
    ours = certificates / f"{name}.pem" if name else None
    tls = Tls(authorities=certificates / "authority.crt", certificate=ours)
    context = _server_side(certificates, wants_client=True)
    if taken:
        answer, _ = talk(lambda origin, _: send(origin, tls=tls), context=context)
        assert answer.status == 200
    else:
        with pytest.raises((Refused, Unreachable)):
            talk(lambda origin, _: send(origin, tls=tls), context=context)


@pytest.mark.parametrize("content", [b"no PEM", b"\xff\xfe"])
def test_a_file_that_is_no_certificate_is_told(tmp_path: Path, content: bytes) -> None:
    """At once, with what to do; nothing was sent."""
    path = tmp_path / "authority.crt"
    path.write_bytes(content)
    with pytest.raises(InvalidStep, match="cannot be used"):
        _ = Tls(authorities=path).context
    with pytest.raises(InvalidStep, match="cannot be read"):
        _ = Tls(authorities=tmp_path / "missing.crt").context
