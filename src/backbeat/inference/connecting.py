"""A client as a step's fields and the platform's credentials say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from backbeat.addresses import AddressRules, rules_from_environment
from backbeat.errors import UnmetNeed
from backbeat.inference.address import Endpoint, parse_address
from backbeat.inference.client import InferenceClient
from backbeat.inference.credentials import ClientCredentials, Credentials
from backbeat.inference.local_transport import LocalTransport
from backbeat.inference.resilience import Resilience
from backbeat.inference.tls import Tls
from backbeat.inference.transports import open_transport

if TYPE_CHECKING:
    from backbeat.inference.transport import Transport
    from backbeat.ports import Registry
    from backbeat.retries.budget import Spends

__all__ = ["carrier", "connect", "require_allowed"]

Carrier = TypeVar("Carrier")

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
    rules: AddressRules | None = None,
    registry: Callable[[], Registry] | None = None,
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
        rules: Which addresses are allowed; those of the environment where None.
        registry: Opens the registry of a `models:/` address; that of MLflow's own variable
            `MLFLOW_TRACKING_URI` where None.

    Raises:
        InvalidStep: The address cannot be used, or a secret would be sent in the clear.
        UnmetNeed: The credentials say something unknown, or not enough.
        Refused: The address is not allowed.
    """
    endpoint = parse_address(address)
    transport: Transport
    if endpoint.transport == "local":
        require_allowed(endpoint, rules=rules)
        transport = LocalTransport(endpoint, registry=registry)
    else:
        transport = carrier(endpoint, secrets or {}, open_transport, rules=rules)
    return InferenceClient(
        address,
        resilience=resilience,
        transport=transport,
        shared=shared,
        version=version,
        fallback=fallback,
        before_call=before_call,
    )


def carrier(
    endpoint: Endpoint,
    secrets: Mapping[str, str],
    made: Callable[..., Carrier],
    *,
    rules: AddressRules | None = None,
) -> Carrier:
    """A carrier that knows who we are.

    Args:
        endpoint: Whom it goes to.
        secrets: See `connect`.
        made: Makes it, such as `open_transport`.
        rules: Which addresses are allowed; those of the environment where None.

    Raises:
        InvalidStep: A secret would be sent in the clear.
        UnmetNeed: The credentials say something unknown, or not enough.
        Refused: The address is not allowed, or one that it or the credentials send us to.
    """
    given = dict(secrets)
    require_allowed(endpoint, rules=rules, others=[given.get("token_url", "")])
    unknown = sorted(set(given) - _KNOWN)
    if unknown:
        raise UnmetNeed(
            f"the credentials for {endpoint.authority} hold the unknown field {unknown[0]!r}",
            hint=f"known are {', '.join(sorted(_KNOWN))}",
        )
    paths = {name: Path(given[name]) for name in _TLS if given.get(name)}
    return made(
        endpoint,
        tls=_tls(paths) if paths else None,
        credentials=_credentials(endpoint, given),
    )


def require_allowed(
    endpoint: Endpoint, *, rules: AddressRules | None = None, others: Iterable[str] = ()
) -> None:
    """Refuse a model's address, before anything is opened, where it is not allowed.

    Args:
        endpoint: The model; an option of its address may name a further one, as `management` does.
        rules: Those of the environment where None.
        others: Further addresses that will be asked; empty ones are left out.

    Raises:
        Refused: One of them is not allowed; a retry will not help.
    """
    if endpoint.address.startswith("models:/"):
        return  # the registry is the platform's own
    given = rules if rules is not None else rules_from_environment()
    linked = [value for value in endpoint.options.values() if "://" in value]
    for address in (endpoint.address, *linked, *filter(None, others)):
        given.require(address)


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
