"""`serve`: stand before the ledger, for workers without a route to its database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backbeat.cli.output import answering, print_line
from backbeat.cli.session import Session
from backbeat.errors import UnmetNeed

__all__ = ["serve"]


@answering
def serve(
    context: typer.Context,
    *,
    ledger: Annotated[bool, typer.Option("--ledger", help="Serve the ledger.")] = False,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 8765,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For TLS: the certificate chain, PEM.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For TLS: its private key, PEM.")
    ] = None,
) -> None:
    """Serve the ledger over HTTPS, settle requests past their deadline, send waiting messages.

    Plain HTTP is for 127.0.0.1 only. Ends with SIGINT or SIGTERM.
    """
    if not ledger:
        raise typer.BadParameter("say what to serve: --ledger")
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--certificate and --key belong together")
    session: Session = context.obj
    platform = session.with_ledger("backbeat serve")
    try:
        from backbeat.service.listening import Certificate, serve_ledger
    except ImportError as error:
        raise UnmetNeed(
            f"backbeat serve needs {error.name}", hint='pip install "backbeat[serve]"'
        ) from error
    serve_ledger(
        platform,
        host=host,
        port=port,
        certificate=Certificate(certificate, key) if certificate and key else None,
        listening=lambda url: print_line(f"the ledger is served on {url}"),
    )
