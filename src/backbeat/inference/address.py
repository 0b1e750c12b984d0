"""One address names a model wherever it is served: what it speaks, where it is, which model it is.

    oip+http://host:8000/v2/models/churn                the Open Inference Protocol; /versions/3
    oip+grpc://host:8001/churn                          the same over gRPC
    kserve-v1+https://host/v1/models/churn              KServe's V1 protocol
    torchserve+http://host:8080/predictions/churn       and ?management=http://host:8081
    seldon-v1+http://host:9000/api/v1.0/predictions     Seldon Core v1
    bentoml+http://host:3000/classify                   BentoML, an endpoint by its method's name
    mlflow+http://host:5000/invocations                 MLflow's scoring server
    ray-serve+http://host:8000/churn                    Ray Serve, a route
    openai+https://host/v1/chat/completions?model=NAME  OpenAI's API, and /v1/embeddings?model=NAME
    openai-batch+https://host/v1/batches?model=NAME     a job that is collected later, see `jobs`
    models:/churn@champion, models:/churn/3             a registered model, in this process
    file:///srv/models/churn                            a folder that MLflow saved, in this process

It is the server's own URL with the protocol before it, so that what works in curl works here.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from backbeat.errors import InvalidStep

__all__ = ["IN_PROCESS", "Endpoint", "is_in_process", "parse_address"]

IN_PROCESS = "in-process"
"""The protocol of a model that is loaded here instead of being served somewhere."""

_TRANSPORTS = ("http", "https", "grpc", "grpcs")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A parsed address; it holds no secret and may be shown.

    Args:
        protocol: What the server speaks, such as `kserve-v1`.
        transport: `http`, `https`, `grpc` or `grpcs`; `local` of a model in this process.
        host: Name or number of the host; an IPv6 number has no brackets here. Empty for `local`.
        port: TCP port; 0 for `local`.
        path: The URL's path, with its first slash, without its last.
        options: The URL's query.
        address: The address as it was given.
    """

    protocol: str
    transport: str
    host: str
    port: int
    path: str
    options: Mapping[str, str]
    address: str

    @property
    def authority(self) -> str:
        """`host:port`, as a URL or a gRPC channel has it; the address itself of a local model."""
        if self.transport == "local":
            return self.address
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Transport, host and port: what workers share a budget, a breaker and a pool for."""
        return f"{self.transport}://{self.authority}"

    @property
    def url(self) -> str:
        """The URL over HTTP, without its query."""
        return f"{self.origin}{self.path}"


def parse_address(address: str, *, known: Collection[str] | None = None) -> Endpoint:
    """Read an address of a served model.

    Args:
        address: `<protocol>+<transport>://<host>[:<port>]/<path>[?<options>]`, or a model in this
            process.
        known: Protocols that it may name; all that answer at once where None.

    Raises:
        InvalidStep: It is no such address, its protocol is unknown, or it holds credentials; says
            what is known.
    """
    if is_in_process(address):
        return _in_process(address)
    parts = urlsplit(address)
    protocol, plus, transport = parts.scheme.partition("+")
    if not plus or not parts.netloc:
        raise InvalidStep(
            f"{_shown(address)} is no address of a served model.",
            hint="write <protocol>+<transport>://<host>:<port>/<path>, such as "
            "kserve-v1+http://127.0.0.1:8080/v1/models/churn",
        )
    _known(protocol, transport, address, known)
    if "@" in parts.netloc:
        raise InvalidStep(
            f"The address of {parts.hostname} holds credentials, which would be stored and shown.",
            hint="leave them out of the address and give them as credentials of the connection",
        )
    try:
        port = parts.port or _PORTS.get(transport)
        host = parts.hostname
    except ValueError:
        port, host = None, None
    if not host or port is None:
        raise InvalidStep(
            f"{_shown(address)} does not say which host and port.",
            hint=f"write {protocol}+{transport}://<host>:<port>/…",
        )
    return Endpoint(
        protocol=protocol,
        transport=transport,
        host=host,
        port=port,
        path=parts.path.rstrip("/"),
        options=dict(parse_qsl(parts.query, keep_blank_values=True)),
        address=address,
    )


def is_in_process(address: str) -> bool:
    """Whether an address names a model that is loaded in this process: `models:/`, `file:///`."""
    return address.startswith(("models:/", "file:"))


def _in_process(address: str) -> Endpoint:
    if address.startswith("models:/"):
        from backbeat.registry.source import parse_registered

        parse_registered(address)
        path = ""
    else:
        parts = urlsplit(address)
        path = unquote(parts.path).rstrip("/")
        if parts.netloc not in {"", "localhost"} or not path or parts.query or parts.fragment:
            raise InvalidStep(
                f"{_shown(address)} names no folder of this machine.",
                hint="write file:///<path of the folder that MLflow saved the model in>",
            )
    return Endpoint(
        protocol=IN_PROCESS,
        transport="local",
        host="",
        port=0,
        path=path,
        options={},
        address=address,
    )


def _known(protocol: str, transport: str, address: str, among: Collection[str] | None) -> None:
    from backbeat.inference.protocols import known_protocols

    if transport not in _TRANSPORTS:
        raise InvalidStep(
            f"{_shown(address)} names the transport {transport!r}.",
            hint=f"use one of {', '.join(_TRANSPORTS)}",
        )
    known = known_protocols() if among is None else sorted(among)
    if protocol not in known:
        near = difflib.get_close_matches(protocol, known, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise InvalidStep(
            f"No protocol is called {protocol!r}.",
            hint=f"{meant}known are {', '.join(known)}; an installed package can add its own",
        )


def _shown(address: str) -> str:
    # what stands before an @ may be a password
    return repr(address.rpartition("@")[2])
