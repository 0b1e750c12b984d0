"""Listening: a socket, TLS where the network hears it, and the clock's work beside it."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import uvicorn

from backbeat.errors import BackbeatError, InvalidData, Refused, Unreachable
from backbeat.ledger.wire import is_loopback
from backbeat.platform import Platform
from backbeat.runner import tick
from backbeat.service.app import ledger_app
from backbeat.service.issuing import own_ledger
from backbeat.service.tokens import LedgerTokens

__all__ = ["Certificate", "serve_ledger"]

_TICK_SECONDS = 5.0
_KEEP_ALIVE_SECONDS = 75  # longer than a worker is usually silent between two calls
_LAST_CALLS_SECONDS = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Certificate:
    """What proves to workers that they speak to the right service.

    Args:
        chain: PEM file with the certificate, and those between it and its authority.
        key: PEM file with its private key, without a password.
    """

    chain: Path
    key: Path


def serve_ledger(
    platform: Platform,
    *,
    host: str,
    port: int,
    certificate: Certificate | None = None,
    listening: Callable[[str], None],
) -> None:
    """Serve a platform's ledger until the process is told to end (SIGINT, SIGTERM).

    Args:
        platform: Whose ledger, and whose sinks.
        host: The address to listen on.
        port: The port; 0 for a free one.
        certificate: For TLS; it may be left out only where nothing leaves this machine.
        listening: Called with the service's URL once calls are accepted by the socket.

    Raises:
        Refused: Tokens would cross the network in plain.
        InvalidData: The certificate or its key cannot be used.
        UnmetNeed: The platform's ledger is itself behind a service, or there is none.
        Unreachable: Nothing can listen there; a retry can help.
    """
    if certificate is None and not is_loopback(host):
        raise Refused(
            f"plain HTTP on {host} would show tokens to the network",
            hint="give --certificate and --key, or listen on 127.0.0.1",
        )
    if certificate is not None:
        _check(certificate)
    own = own_ledger(platform.ledger)
    app = ledger_app(platform, LedgerTokens(own.database))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_LAST_CALLS_SECONDS,
            ssl_certfile=certificate.chain if certificate else None,
            ssl_keyfile=certificate.key if certificate else None,
        )
    )
    with _bound(host, port) as bound:
        scheme = "https" if certificate else "http"
        shown = f"[{host}]" if ":" in host else host
        ended = threading.Event()
        clock = threading.Thread(
            target=_keep_ticking, args=(platform, ended), name="backbeat-tick", daemon=True
        )
        clock.start()
        listening(f"{scheme}://{shown}:{bound.getsockname()[1]}")
        for signum in (signal.SIGINT, signal.SIGTERM):
            # after its last answer uvicorn raises the signal again: it is to end us, not to kill us
            signal.signal(signum, _end)
        try:
            server.run(sockets=[bound])
        finally:
            ended.set()
            clock.join(_LAST_CALLS_SECONDS)
            own.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family)
    except OSError as error:
        raise Unreachable(
            f"nothing can listen on {host}:{port}: {error.strerror or error}",
            hint="choose another --host or --port, or end what listens there",
        ) from error
    # asyncio does not do this for a socket that it is given, and each answer would wait 40 ms for
    # an acknowledgement; connections have it from the socket that accepts them
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _check(certificate: Certificate) -> None:
    def no_password() -> str:
        raise ValueError("it has a password")

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain, certificate.key, no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise InvalidData(
            f"the certificate {certificate.chain} cannot be used with {certificate.key}: {reason}",
            hint="give PEM files that belong together, and a key without a password",
        ) from error


def _keep_ticking(platform: Platform, ended: threading.Event) -> None:
    while not ended.wait(_TICK_SECONDS):
        try:
            tick(platform)
        except BackbeatError as error:
            _log.warning("what time asks for was not done, trying again: %s", error)
        except Exception as error:  # noqa: BLE001 - the next tick must come all the same
            # its message may hold other people's words
            _log.error("a tick failed with %s", type(error).__name__)


def _end(_signal: int, _frame: Any) -> NoReturn:
    raise SystemExit(0)
