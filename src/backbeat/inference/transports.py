"""Which carrier an address gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbeat.inference.address import Endpoint
from backbeat.inference.tls import Tls

if TYPE_CHECKING:
    from backbeat.inference.credentials import Credentials
    from backbeat.inference.transport import Transport

__all__ = ["open_transport"]


def open_transport(
    endpoint: Endpoint, *, tls: Tls | None = None, credentials: Credentials | None = None
) -> Transport:
    """A carrier for an endpoint; it connects when it first sends.

    Args:
        endpoint: Whom it goes to.
        tls: Certificates; the system's authorities where None.
        credentials: Who we are.
    """
    if endpoint.transport == "local":
        from backbeat.inference.local_transport import LocalTransport

        return LocalTransport(endpoint)
    if endpoint.transport.startswith("grpc"):
        from backbeat.inference.grpc_transport import GrpcTransport

        secure = (tls or Tls()) if endpoint.transport == "grpcs" else None
        return GrpcTransport(endpoint.authority, tls=secure, credentials=credentials)
    from backbeat.inference.http_transport import HttpTransport

    return HttpTransport(tls=tls, credentials=credentials)
