"""Requests over HTTP/1.1 by aiohttp: pooled connections, one deadline, and a limit of size."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backbeat.errors import (
    BackbeatError,
    InvalidAnswer,
    InvalidStep,
    Refused,
    UnmetNeed,
    Unreachable,
)
from backbeat.inference.message import Request, Response
from backbeat.inference.tls import Tls

if TYPE_CHECKING:
    import aiohttp

    from backbeat.inference.credentials import Credentials

__all__ = ["HttpTransport"]

_LARGEST_ANSWER = 2**28
# an answer's bytes that wait to be read; the default of 64 KiB stops and starts a large one often
_READ_AHEAD = 2**20
# so many are copied faster than they are sent one after the other
_IN_ONE_PIECE = 2**14
_UNAUTHORIZED = 401


class HttpTransport:
    """Carries requests over HTTP and HTTPS; a pool of connections for each origin.

    How many connections there are is the caller's to limit. No cookie is kept, no proxy is taken
    from the environment, and no redirect is followed: each could send rows or a secret to where
    the address does not say. Answers are asked for uncompressed; a request's own
    `accept-encoding` goes first.

    Args:
        tls: Certificates; the system's authorities, and none of ours, where None.
        credentials: Who we are; told to their own origin alone, and never in the clear but to
            this machine itself.
        largest_answer: In bytes, after decompression.
    """

    def __init__(
        self,
        *,
        tls: Tls | None = None,
        credentials: Credentials | None = None,
        largest_answer: int = _LARGEST_ANSWER,
    ) -> None:
        self._tls = tls or Tls()
        self._credentials = credentials
        self._largest = largest_answer
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request, *, seconds: float) -> Response:
        """Send a request and read its answer.

        Args:
            request: What to send.
            seconds: For everything: connecting, sending, and the last byte of the answer.

        Raises:
            Unreachable: No connection, no answer in time, or a cut one; a retry can help.
            Refused: The server's certificate is not trusted, or it does not trust ours.
            InvalidAnswer: The answer is no HTTP, or larger than allowed.
            InvalidStep: The URL or a header cannot be sent.
            UnmetNeed: aiohttp is not installed.
        """
        session = self._session or self._open(secure=request.url.startswith("https:"))
        try:
            async with asyncio.timeout(seconds):
                return await self._told(session, request)
        except TimeoutError as error:
            raise Unreachable(
                f"{_origin(request)} did not answer within {seconds:.3g} s.",
                hint="give it more time, send fewer rows in a request, or look at its load",
            ) from error
        except (OSError, ValueError, _aiohttp().ClientError) as error:
            failure = _failure(request, error)
        # the library's own errors show URLs and headers, where secrets may be
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _told(self, session: aiohttp.ClientSession, request: Request) -> Response:
        """Ask, telling who we are; once more where what told it has run out meanwhile."""
        if self._credentials is None:
            return await self._exchange(session, request, {})
        secret = await self._credentials.headers(request.url, session)
        answer = await self._exchange(session, request, secret)
        if answer.status == _UNAUTHORIZED and self._credentials.forget(secret):
            secret = await self._credentials.headers(request.url, session)
            answer = await self._exchange(session, request, secret)
        return answer

    async def _exchange(
        self, session: aiohttp.ClientSession, request: Request, secret: dict[str, str]
    ) -> Response:
        async with session.request(
            request.method,
            request.url,
            data=_body(request),
            headers={**request.headers, **secret} if secret else request.headers,
            allow_redirects=False,
        ) as answer:
            whole = await self._whole(request, answer)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(status=answer.status, headers=headers, body=whole)

    async def _whole(self, request: Request, answer: aiohttp.ClientResponse) -> bytes:
        # what is compressed is as large as it says only on its way
        known = answer.content_length is not None and "content-encoding" not in answer.headers
        if known and (answer.content_length or 0) <= self._largest:
            whole: bytes = await answer.content.read(-1)
            return whole
        chunks: list[bytes] = []
        size = 0
        async for chunk in answer.content.iter_any():
            size += len(chunk)
            if size > self._largest:
                # what is still on its way is not worth a connection
                answer.close()
                raise InvalidAnswer(
                    f"The answer of {_origin(request)} is larger than {self._largest} bytes.",
                    hint="send fewer rows in a request, or allow larger answers",
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _open(self, *, secure: bool) -> aiohttp.ClientSession:
        from backbeat.addresses.resolver import GuardedResolver

        aiohttp = _aiohttp()
        # reading the system's authorities takes 50 ms; a carrier goes to one origin
        connector = aiohttp.TCPConnector(
            limit=0, ssl=self._tls.context if secure else True, resolver=GuardedResolver()
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"accept-encoding": "identity", "user-agent": "backbeat"},
            read_bufsize=_READ_AHEAD,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )
        return self._session


def _body(request: Request) -> Any:
    """What aiohttp is given: a few bytes in one piece, more of them as they lie in memory."""
    if not request.body:
        return None
    if sum(map(len, request.body)) <= _IN_ONE_PIECE:
        return b"".join(request.body)
    from backbeat.inference.http_body import Parts

    return Parts(request.body)


def _aiohttp() -> Any:
    try:
        import aiohttp
    except ImportError as error:
        raise UnmetNeed(
            "Model servers are asked by aiohttp, which is not installed.",
            hint='install "backbeat[inference]"',
        ) from error
    return aiohttp


def _origin(request: Request) -> str:
    # neither the path nor the query: some servers want secrets there
    parts = urlsplit(request.url)
    return f"{parts.scheme}://{parts.netloc}"


def _failure(request: Request, error: Exception) -> BackbeatError:
    """What an error of the library means, in words that hold no header and no URL."""
    aiohttp = _aiohttp()
    origin = _origin(request)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Refused(
            f"The certificate of {origin} is not trusted: {_reason(error.certificate_error)}.",
            hint="give the authority that has signed it, or use the name that it was made for",
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return Refused(
            f"{origin} and this client do not agree on TLS: {_reason(error)}.",
            hint="look at the client's certificate, and whether the port speaks TLS",
        )
    if isinstance(error, (aiohttp.InvalidURL, ValueError)) and not isinstance(error, OSError):
        return InvalidStep(
            f"A request to {origin} cannot be sent: its URL or a header is malformed.",
            hint="look at the address, and at what its options are made of",
        )
    if isinstance(error, aiohttp.ClientResponseError):
        return InvalidAnswer(
            f"{origin} answered with something that is no HTTP.",
            hint="look whether the port is that of the server's HTTP interface",
        )
    if isinstance(error, aiohttp.ClientPayloadError):
        return Unreachable(
            f"The answer of {origin} ended before its end.",
            hint="look at the server's log, and at what stands between it and here",
        )
    return Unreachable(
        f"{origin} cannot be reached: {_reason(error)}.",
        hint="look whether the server runs there and lets this machine in",
    )


def _reason(error: BaseException) -> str:
    """The system's own words, which hold nothing of the request."""
    inner = getattr(error, "os_error", None) or error
    text = getattr(inner, "verify_message", None) or getattr(inner, "strerror", None)
    return str(text or getattr(inner, "reason", None) or type(inner).__name__)
