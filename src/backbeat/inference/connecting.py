"""A client as a step's fields and the platform's credentials say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from backbeat.errors import UnmetNeed
from backbeat.inference.address import Endpoint, parse_address
from backbeat.inference.client import InferenceClient
from backbeat.inference.credentials import ClientCredentials, Credentials
from backbeat.inference.resilience import Resilience
from backbeat.inference.tls import Tls
from backbeat.inference.transports import open_transport

if TYPE_CHECKING:
    from backbeat.retries.budget import Spends

__all__ = ["connect"]

_TLS = ("authorities", "certificate", "key")
_WAYS = ("bearer", "password", "value", "client_secret")
_KNOWN = {*_TLS, *_WAYS, "user", "header", "client_id", "token_url", "scope", "audience"}


def connect(
    address: str,
    *,
    secrets: Mapping[str, str] | None = None,
    resilience: Resilience | None = None,
    shared: Callable[[], Spends] | None = None,
    version: str = "",
    fallback: InferenceClient | None = None,
    before_call: Callable[[], Awaitable[None]] | None = None,
) -> InferenceClient:
    """A client for an address.

    Args:
        address: See `backbeat.inference.address`.
        secrets: Who we are: `bearer`; `user` and `password`; `header` and `value`; or `token_url`,
            `client_id` and `client_secret`, with `scope` and `audience`. For TLS the paths
            `authorities`, `certificate` and `key`.
        resilience: See `InferenceClient`, as the fields below.
        shared: What the workers share.
        version: The version that must answer.
        fallback: Asked where this model cannot answer.
        before_call: Awaited before each question.

    Raises:
        InvalidStep: The address cannot be used, or a secret would be sent in the clear.
        UnmetNeed: The credentials say something unknown, or not enough.
    """
    endpoint = parse_address(address)
    given = dict(secrets or {})
    unknown = sorted(set(given) - _KNOWN)
    if unknown:
        raise UnmetNeed(
            f"the credentials for {endpoint.authority} hold the unknown field {unknown[0]!r}",
            hint=f"known are {', '.join(sorted(_KNOWN))}",
        )
    paths = {name: Path(given[name]) for name in _TLS if given.get(name)}
    transport = open_transport(
        endpoint,
        tls=_tls(paths) if paths else None,
        credentials=_credentials(endpoint, given),
    )
    return InferenceClient(
        address,
        resilience=resilience,
        transport=transport,
        shared=shared,
        version=version,
        fallback=fallback,
        before_call=before_call,
    )


def _tls(paths: Mapping[str, Path]) -> Tls:
    return Tls(
        authorities=paths.get("authorities"),
        certificate=paths.get("certificate"),
        key=paths.get("key"),
    )


def _credentials(endpoint: Endpoint, given: Mapping[str, str]) -> Credentials | None:
    if not any(given.get(name) for name in _WAYS):
        return None

    def secret(name: str) -> SecretStr:
        return SecretStr(given[name])

    origin = endpoint.origin
    try:
        if given.get("bearer"):
            return Credentials(origin=origin, bearer=secret("bearer"))
        if given.get("client_secret"):
            oidc = ClientCredentials(
                token_url=given["token_url"],
                client_id=given["client_id"],
                client_secret=secret("client_secret"),
                scope=given.get("scope", ""),
                audience=given.get("audience", ""),
            )
            return Credentials(origin=origin, oidc=oidc)
        if given.get("value"):
            return Credentials(origin=origin, header=(given["header"], secret("value")))
        return Credentials(origin=origin, basic=(given["user"], secret("password")))
    except KeyError as error:
        raise UnmetNeed(
            f"the credentials for {endpoint.authority} lack {error.args[0]!r}",
            hint="give bearer; user and password; header and value; or token_url, client_id and "
            "client_secret",
        ) from None
