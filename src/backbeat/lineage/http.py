"""Lineage over HTTP: one request an event, named so that a receiver can drop a repeat."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import backbeat
from backbeat.canonical import canonical_bytes
from backbeat.errors import BackbeatError, InvalidData, NotFound, Refused, UnmetNeed, Unreachable
from backbeat.ledger.wire import is_loopback
from backbeat.ports import Message

if TYPE_CHECKING:
    import urllib3

__all__ = ["HttpSink"]

_API_KEY = "BACKBEAT_LINEAGE_API_KEY"
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_PASSING = {408, 425, 429}
_DENIED = {401, 403}
_ELSEWHERE = {404, 405, 410}
_TAKEN = 409


class HttpSink:
    """Posts every message as JSON, with its id as `Idempotency-Key`.

    An answer that is lost, as by a worker that dies, leads to the same request again: what the
    receiver makes of the key is its own affair. A key in the environment variable
    `BACKBEAT_LINEAGE_API_KEY` is sent as `Authorization: Bearer`, read anew for each message.

    Args:
        url: Where to, such as `https://host/api/v1/lineage`; `http://` only for this very machine.

    Raises:
        InvalidData: The URL is none, holds credentials, or would show them to the network.
        UnmetNeed: urllib3 is not installed.
    """

    def __init__(self, url: str) -> None:
        self.where = _checked(url)
        if find_spec("urllib3") is None:
            raise UnmetNeed(
                "lineage over HTTP needs urllib3", hint='pip install "backbeat[remote]"'
            )
        self._url = url
        self._pool: urllib3.PoolManager | None = None
        self._pid = -1

    def deliver(self, message: Message) -> None:
        """Post the message; an answer of 2xx or 409 (it was there already) means delivered.

        The outbox keeps what could not be delivered and tries again, with pauses up to an hour,
        for as long as the ledger lives: it drops nothing, whatever the error says about retries.

        Raises:
            Unreachable: No answer, or one that asks for patience (408, 425, 429, 5xx), with what
                its Retry-After says.
            Refused: The key is missing, or not the right one (401, 403).
            NotFound: There is no such endpoint, or it points elsewhere, which is not followed.
            InvalidData: The endpoint will never take this message (any other 4xx).
        """
        from urllib3.exceptions import HTTPError

        try:
            response = self._open().request(
                "POST",
                self._url,
                body=canonical_bytes(dict(message.body)),
                headers={**_headers(), "Idempotency-Key": message.id},
                redirect=False,
                retries=False,
            )
        except HTTPError as error:
            raise Unreachable(
                f"the lineage endpoint {self.where} did not answer ({type(error).__name__})",
                hint="check that it runs and that this host may reach it",
            ) from error
        if not (200 <= response.status < 300 or response.status == _TAKEN):  # noqa: PLR2004
            raise self._refusal(message.id, response)

    def _refusal(self, name: str, response: urllib3.BaseHTTPResponse) -> BackbeatError:
        said = f"the lineage endpoint {self.where} answers {response.status}"
        if response.status in _PASSING or response.status >= 500:  # noqa: PLR2004
            return Unreachable(
                said,
                hint="see its own log; the message waits in the outbox",
                retry_after=_pause(response.headers.get("Retry-After")),
            )
        if response.status in _DENIED:
            return Refused(said, hint=f"set {_API_KEY} to a key that may write there")
        if response.status in _ELSEWHERE or response.status < 400:  # noqa: PLR2004
            return NotFound(said, hint="set lineage_url to where the events are to go")
        return InvalidData(
            f"{said} to {name}",
            hint="compare the OpenLineage versions of sender and receiver; the message stays in "
            "the outbox",
        )

    def _open(self) -> urllib3.PoolManager:
        # a TLS connection that crossed a fork is one conversation with two speakers
        if self._pool is None or self._pid != os.getpid():
            import ssl

            import urllib3

            self._pool = urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_ANSWER_SECONDS),
                ssl_context=ssl.create_default_context(),
            )
            self._pid = os.getpid()
        return self._pool


def _checked(url: str) -> str:
    """The URL as messages may show it: without its query, which may hold a secret."""
    hint = "write https://host/path"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is none
    except ValueError:
        # the cause's sentence would quote what may be a password
        raise InvalidData("the lineage endpoint's address is no URL", hint=hint) from None
    if parts.username is not None or parts.password is not None:
        raise InvalidData(
            "the lineage endpoint's URL holds a user or a password",
            hint=f"put a key into the environment variable {_API_KEY} instead",
        )
    if parts.scheme not in {"https", "http"} or not parts.hostname or not url.isprintable():
        raise InvalidData("the lineage endpoint's address is no https:// URL", hint=hint)
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise InvalidData(
            f"http://{parts.netloc} would show lineage, and its key, to the network",
            hint="use https://; http:// is for 127.0.0.1 and localhost",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _headers() -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"backbeat/{backbeat.__version__}",
    }
    key = os.environ.get(_API_KEY, "").strip()
    if key:
        if not key.isascii() or not key.isprintable() or " " in key:
            # http.client would quote it in its own refusal
            raise InvalidData(
                f"{_API_KEY} holds no key that a header can carry", hint="set it to one word"
            )
        headers["Authorization"] = f"Bearer {key}"
    return headers


def _pause(said: str | None) -> float | None:
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    if said is None:
        return None
    try:
        return float(Retry().parse_retry_after(said))
    except InvalidHeader:
        return None
