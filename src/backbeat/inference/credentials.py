"""Who we are to a model server: kept apart from addresses, requests, and all that is shown."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from backbeat.errors import InvalidStep, Refused, Unreachable

if TYPE_CHECKING:
    import aiohttp

__all__ = ["ClientCredentials", "Credentials", "is_loopback"]

_SPARE_SECONDS = 30.0
_DEFAULT_SECONDS = 300.0
_ASKED_SECONDS = 15
_GOOD = 200
_CALLERS = range(400, 500)


@dataclass(frozen=True, kw_only=True)
class ClientCredentials:
    """OAuth 2.0 client credentials (RFC 6749, section 4.4): a token for an id and a secret.

    Args:
        token_url: Where tokens are given; `https`, or this machine.
        client_id: Ours.
        client_secret: Ours.
        scope: What is asked for, words apart by spaces; none where empty.
        audience: For whom the token is meant, where the issuer wants to know.
    """

    token_url: str
    client_id: str
    client_secret: SecretStr
    scope: str = ""
    audience: str = ""


@dataclass(kw_only=True, eq=False)
class Credentials:
    """How we say who we are to one origin; one of the four ways.

    Args:
        origin: `scheme://host:port` of the server; nobody else is told.
        bearer: A token.
        basic: User and password.
        header: A header's name and its value, such as an API key's.
        oidc: Where tokens come from; one is kept until shortly before its end.

    Raises:
        InvalidStep: None or several ways are given, or the secret would be sent in the clear.
    """

    origin: str
    bearer: SecretStr | None = field(default=None, repr=False)
    basic: tuple[str, SecretStr] | None = field(default=None, repr=False)
    header: tuple[str, SecretStr] | None = field(default=None, repr=False)
    oidc: ClientCredentials | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        ways = [self.bearer, self.basic, self.header, self.oidc]
        if sum(way is not None for way in ways) != 1:
            raise InvalidStep(
                f"The credentials of {self.origin} are none or more than one.",
                hint="give a bearer token, a user with a password, a header, or an OIDC client",
            )
        _refuse_clear(self.origin)
        if self.oidc is not None:
            _refuse_clear(self.oidc.token_url)
        self._token = ""
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def headers(self, url: str, session: aiohttp.ClientSession) -> dict[str, str]:
        """The headers for a request to a URL; none where it goes to another origin.

        Raises:
            Refused: The issuer of tokens does not accept us; a retry will not help.
            Unreachable: It does not answer.
        """
        if _origin(url) != _origin(self.origin):
            return {}
        if self.bearer is not None:
            return {"authorization": f"Bearer {self.bearer.get_secret_value()}"}
        if self.basic is not None:
            pair = f"{self.basic[0]}:{self.basic[1].get_secret_value()}".encode()
            return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
        if self.header is not None:
            return {self.header[0].lower(): self.header[1].get_secret_value()}
        assert self.oidc is not None  # noqa: S101 - one of the four is there
        async with self._lock:
            if time.monotonic() >= self._until:
                self._token, seconds = await _token(self.oidc, session)
                self._until = time.monotonic() + max(0.0, seconds - _SPARE_SECONDS)
            return {"authorization": f"Bearer {self._token}"}

    def forget(self, used: dict[str, str]) -> bool:
        """A server did not accept these headers; returns whether asking anew can help."""
        if self.oidc is None or not used:
            return False
        if used["authorization"] == f"Bearer {self._token}":
            self._until = 0.0
        return True


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


async def _token(oidc: ClientCredentials, session: Any) -> tuple[str, float]:
    form = {
        "grant_type": "client_credentials",
        "client_id": oidc.client_id,
        "client_secret": oidc.client_secret.get_secret_value(),
        "scope": oidc.scope,
        "audience": oidc.audience,
    }
    at = _origin(oidc.token_url)
    try:
        async with (
            asyncio.timeout(_ASKED_SECONDS),
            session.post(
                oidc.token_url,
                data={name: value for name, value in form.items() if value},
                allow_redirects=False,
            ) as answer,
        ):
            status = answer.status
            found = await answer.json(content_type=None) if status == _GOOD else {}
    except (OSError, TimeoutError, ValueError):
        found, status = {}, 0
    token = found.get("access_token") if isinstance(found, dict) else None
    if isinstance(token, str) and token:
        seconds = found.get("expires_in", _DEFAULT_SECONDS)
        return token, float(seconds) if isinstance(seconds, (int, float)) else _DEFAULT_SECONDS
    if status in _CALLERS:
        raise Refused(
            f"{at} gives no token to the client {oidc.client_id!r}: it answered {status}.",
            hint="look at the client's id, secret and scope",
        )
    raise Unreachable(
        f"{at} gave no token to the client {oidc.client_id!r}.", hint="look at the issuer"
    )


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443, "grpc": None, "grpcs": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port


def _refuse_clear(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"https", "grpcs"} and not is_loopback(parts.hostname):
        raise InvalidStep(
            f"Credentials for {parts.hostname} would be sent in the clear over {parts.scheme}.",
            hint="use an address with https or grpcs",
        )
