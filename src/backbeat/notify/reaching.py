"""One POST to an address that somebody wrote into the settings, and to nothing else behind it.

`backbeat.addresses` says what this process may connect to. A webhook is held to more than that: an
address that no list names has to be https and public, since what it gets was not asked for by its
owner, and a service inside the network may take any POST for an order.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from backbeat.addresses import AddressRules, rules_from_environment
from backbeat.errors import BackbeatError, InvalidData, NotFound, Refused, Unreachable

__all__ = ["Target", "post", "require_target"]

_SECONDS = 10.0
_LONGEST_WAIT = 86_400.0
_PASSING = {408, 425, 429}
_DENIED = {401, 403}
_ELSEWHERE = {404, 405, 410}
_TAKEN = 409
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Target:
    """An address that was looked at and may be asked.

    Args:
        scheme: `https`, or `http` where the list names it.
        host: Name or number.
        port: TCP port.
        path: With its query.
        shown: Without path and query, which may hold a secret.
        listed: Whether the list of allowed addresses names it.
        rules: What its numbers are held against.
    """

    scheme: str
    host: str
    port: int
    path: str
    shown: str
    listed: bool
    rules: AddressRules


def require_target(url: str, rules: AddressRules | None = None) -> Target:
    """Look at an address as it is written; nothing is resolved or opened.

    Args:
        url: `https://host/path`.
        rules: Those of the environment where None.

    Raises:
        InvalidData: It is no such address, or holds a user or a password.
        Refused: The rules do not allow it; a retry will not help.
    """
    hint = "write https://host/path"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # the cause's sentence would quote what may be a password
        raise InvalidData("the webhook's address is no URL", hint=hint) from None
    if parts.scheme not in {"https", "http"} or not parts.hostname or not url.isascii():
        raise InvalidData("the webhook's address is no https:// URL", hint=hint)
    if not url.isprintable() or " " in url or "@" in parts.netloc:
        raise InvalidData("the webhook's address holds a user, a password or a space", hint=hint)
    given = rules_from_environment() if rules is None else rules
    shown = f"{parts.scheme}://{parts.netloc}"
    given.require(url)
    listed = given.allowed is not None
    if parts.scheme == "http" and not listed:
        raise Refused(
            f"{shown} would show the notice to the network",
            hint="use https://, or let whoever runs this platform name this address in "
            "BACKBEAT_ALLOWED_ADDRESSES",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    usual = 443 if parts.scheme == "https" else 80
    return Target(parts.scheme, parts.hostname, port or usual, path, shown, listed, given)


def post(
    target: Target,
    body: bytes,
    headers: Mapping[str, str],
    *,
    resolve: Resolve | None = None,
    authorities: ssl.SSLContext | None = None,
    seconds: float = _SECONDS,
) -> None:
    """Send once. The name is resolved once, every number of it is checked, one is connected to.

    Redirects are not followed, proxies of the environment are not asked, and of the answer only the
    status and Retry-After are read.

    Args:
        target: From `require_target`.
        body: JSON.
        headers: Without secrets in their names.
        resolve: Asks the name server; the system's own where None.
        authorities: Whom TLS trusts; the system's where None.
        seconds: For all of it, however slowly the other end speaks.

    Raises:
        Refused: A number is not allowed, or the receiver does not know us (401, 403).
        Unreachable: No answer, or one that asks for patience, with what its Retry-After says.
        NotFound: There is no such endpoint, or it points elsewhere.
        InvalidData: It will never take this (any other 4xx).
    """
    connection = _Pinned(target, _numbers(target, resolve or _resolve), authorities, seconds)
    # a time-out of the socket starts anew with each byte
    watchdog = threading.Timer(seconds, connection.cut)
    watchdog.daemon = True
    watchdog.start()
    try:
        connection.request("POST", target.path, body=body, headers=dict(headers))
        with connection.getresponse() as response:
            status, after = response.status, response.getheader("Retry-After")
        connection.require_uncut()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"the webhook {target.shown} did not answer ({type(error).__name__})",
            hint="check that it runs and that this host may reach it",
        ) from None
    finally:
        watchdog.cancel()
        connection.close()
    if not (200 <= status < 300 or status == _TAKEN):  # noqa: PLR2004 - HTTP's ranges
        raise _refusal(target.shown, status, after)


class _Pinned(http.client.HTTPConnection):
    """Connects to numbers that were checked; the name serves for TLS and the Host header."""

    def __init__(
        self,
        target: Target,
        numbers: list[str],
        authorities: ssl.SSLContext | None,
        seconds: float,
    ) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self._numbers = numbers
        self._cut = False
        self._tls: ssl.SSLContext | None = None
        if target.scheme == "https":
            self.default_port = 443
            self._tls = authorities or ssl.create_default_context()

    def connect(self) -> None:
        last: OSError = OSError("no number to connect to")
        for number in self._numbers:
            try:
                self.sock = socket.create_connection((number, self.port), self.timeout)
            except OSError as error:
                last = error
                continue
            if self._tls is not None:
                self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)
            self.require_uncut()
            return
        raise last

    def require_uncut(self) -> None:
        """Raise TimeoutError where the conversation took too long: half of it may be missing."""
        if self._cut:
            raise TimeoutError

    def cut(self) -> None:
        """End a conversation that takes too long, from another thread."""
        self._cut = True
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended meanwhile


def _numbers(target: Target, resolve: Resolve) -> list[str]:
    try:
        found = list(dict.fromkeys(resolve(target.host, target.port)))
    except (OSError, UnicodeError) as error:
        raise Unreachable(
            f"the name in {target.shown} is not known ({type(error).__name__})",
            hint="check the name and the name server",
        ) from None
    for number in found:
        target.rules.require_ip(number, name=target.shown)
        if not target.listed and not _is_public(number):
            raise Refused(
                f"{target.shown} leads to an address inside the network, which is not allowed",
                hint="let whoever runs this platform name it in BACKBEAT_ALLOWED_ADDRESSES",
            )
    return found


def _resolve(host: str, port: int) -> list[str]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for _, _, _, _, where in infos]


def _is_public(number: str) -> bool:
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # these carry another address inside, to which the network may take them
        if address.teredo is not None:
            return False
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast


def _refusal(shown: str, status: int, after: str | None) -> BackbeatError:
    said = f"the webhook {shown} answers {status}"
    if status in _PASSING or status >= 500:  # noqa: PLR2004 - HTTP's ranges
        hint = "see its own log; the notice waits in the outbox"
        return Unreachable(said, hint=hint, retry_after=_pause(after))
    if status in _DENIED:
        return Refused(said, hint="compare the secret here with the receiver's")
    if status in _ELSEWHERE or status < 400:  # noqa: PLR2004
        return NotFound(said, hint="set the channel's url to where notices are taken")
    return InvalidData(said, hint="see the receiver's own log for why it does not take the notice")


def _pause(said: str | None) -> float | None:
    """Seconds that Retry-After asks for, at most a day: the receiver does not rule our outbox."""
    if said is None:
        return None
    text = said.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
        return min(max(0.0, moment.timestamp() - _now()), _LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError):
        return None


def _now() -> float:
    import time

    return time.time()
