"""`signoff delegate`, `retract`, `withdraw`, `break-glass`, `export`: all but voting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from backbeat import signoff
from backbeat.cli.output import AsJson, answering, print_json
from backbeat.cli.signoff_shown import Name, Reason, RequestId, acting, answer, ledger_of

__all__ = ["break_glass", "delegate", "export", "retract", "withdraw"]

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


@answering
def delegate(
    context: typer.Context,
    request_id: RequestId,
    *,
    to: Annotated[str, typer.Option(help="Id of who then may vote for you.")],
    until: Annotated[
        datetime, typer.Option(help="Until when; UTC if no zone is given.", formats=_FORMATS)
    ],
    since: Annotated[
        datetime | None, typer.Option(help="From when on. Default: now.", formats=_FORMATS)
    ] = None,
    reason: Reason = "",
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Let somebody else vote for you on one request, where its rules allow it."""
    state = signoff.delegate(
        ledger_of(context),
        request_id,
        to=to,
        ends=_in_utc(until),
        starts=_in_utc(since) if since else None,
        reason=reason,
        **acting(name),
    )
    answer(state, f"{to} may vote for you", as_json=as_json)


@answering
def retract(
    context: typer.Context,
    request_id: RequestId,
    *,
    reason: Reason = "",
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Take your vote back, as long as its stage is open."""
    state = signoff.retract(ledger_of(context), request_id, reason=reason, **acting(name))
    answer(state, "your vote is taken back", as_json=as_json)


@answering
def withdraw(
    context: typer.Context, request_id: RequestId, *, name: Name = None, as_json: AsJson = False
) -> None:
    """Withdraw a request that you have made: it is rejected, and takes no vote."""
    actor = acting(name)["actor"]
    state = signoff.withdraw(ledger_of(context), request_id, actor=actor)
    answer(state, "it is withdrawn", as_json=as_json)


@answering
def break_glass(
    context: typer.Context,
    request_id: RequestId,
    *,
    reason: Annotated[str, typer.Option(help="Why it cannot wait; everybody is told.")],
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Approve alone in an emergency, where the rules name you; everybody is told."""
    state = signoff.break_glass(ledger_of(context), request_id, reason=reason, **acting(name))
    answer(state, "the glass is broken", as_json=as_json)


@answering
def export(context: typer.Context, request_id: RequestId, *, as_json: AsJson = False) -> None:
    """Everything about a request for an auditor, with every attempt that was refused."""
    from backbeat.signoff.export import as_text
    from backbeat.signoff.export import export as export_request

    ledger = ledger_of(context)
    document = export_request(ledger, signoff.read_request(ledger, request_id))
    if as_json:
        print_json(document)
    else:
        typer.echo(as_text(document), nl=False)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
