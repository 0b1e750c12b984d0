"""`token`: who may speak to `backbeat serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from backbeat.cli.output import AsJson, answering, print_facts, print_json, print_line, print_table
from backbeat.cli.session import Session, operating_system_user
from backbeat.service.credentials import Scope, Token

if TYPE_CHECKING:
    from backbeat.ledger.sql import SqlLedger
    from backbeat.service.tokens import LedgerTokens

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Say who may speak to the ledger's service.")


@app.command("issue")
@answering
def issue_token(
    context: typer.Context,
    *,
    scope: Annotated[Scope, typer.Option(help="What it is for.")],
    workflow: Annotated[
        str | None, typer.Option(help="The one workflow that it may work for.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how long.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Issue a token. Its text is printed once and kept nowhere."""
    from backbeat.service.issuing import issue

    ledger, book = _opened(context)
    token, text = issue(
        ledger,
        book,
        scope=scope,
        workflow=workflow,
        days=days,
        actor=operating_system_user(),
    )
    if as_json:
        print_json({"token": text, **_described(token)})
        return
    print_line(text)
    print_facts({name: value for name, value in _described(token).items() if value is not None})


@app.command("list")
@answering
def list_tokens(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List tokens, newest first, without their secrets."""
    found = [_described(token) for token in _opened(context)[1].tokens()]
    if as_json:
        print_json(found)
        return
    columns = ["id", "scope", "workflow", "created_at", "expires_at", "revoked_at"]
    print_table(
        columns, [[token[name] for name in columns] for token in found], empty="no token was issued"
    )


@app.command("revoke")
@answering
def revoke_token(
    context: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
) -> None:
    """Revoke a token; the next call with it is refused."""
    from backbeat.service.issuing import revoke

    ledger, book = _opened(context)
    revoke(ledger, book, token_id, actor=operating_system_user())
    print_line(f"{token_id} is revoked")


def _opened(context: typer.Context) -> tuple[SqlLedger, LedgerTokens]:
    from backbeat.service.issuing import own_ledger
    from backbeat.service.tokens import LedgerTokens

    session: Session = context.obj
    ledger = own_ledger(session.with_ledger("backbeat token").ledger)
    return ledger, LedgerTokens(ledger.database)


def _described(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "scope": token.scope.value,
        "workflow": token.workflow,
        "created_at": f"{token.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "expires_at": f"{token.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        "revoked_at": f"{token.revoked_at:%Y-%m-%dT%H:%M:%SZ}" if token.revoked_at else None,
    }
