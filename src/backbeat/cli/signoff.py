"""`signoff`: requests, what they show, and votes that are bound to what was shown."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from backbeat.cli import signoff_acts, signoff_asking
from backbeat.cli.output import AsJson, answering, print_json, print_table
from backbeat.cli.signoff_shown import (
    Name,
    Reason,
    RequestId,
    Seen,
    Yes,
    acting,
    answer,
    described,
    ledger_of,
    read_document,
    seen_digest,
    show_state,
)
from backbeat.signoff import read_request, requests, vote

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See what waits for people, and decide.")


class StateName(StrEnum):
    """What a request can be."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


class Word(StrEnum):
    """What a vote can say."""

    APPROVE = "approve"
    REJECT = "reject"


@app.command("list")
@answering
def list_requests(
    context: typer.Context,
    *,
    state: Annotated[StateName | None, typer.Option(help="Only these.")] = None,
    as_json: AsJson = False,
) -> None:
    """List requests, newest first."""
    found = requests(ledger_of(context), state=state)
    if as_json:
        print_json([described(item) for item in found])
        return
    print_table(
        ["id", "state", "subject", "votes", "deadline", "workflow"],
        [
            (
                item.request.request_id,
                item.name,
                item.request.subject,
                f"{len(item.votes)} of {item.request.rules.quorum}",
                f"{item.request.deadline:%Y-%m-%d %H:%M} UTC",
                item.request.workflow,
            )
            for item in found
        ],
        empty="nothing waits for people",
    )


@app.command()
@answering
def show(context: typer.Context, request_id: RequestId, *, as_json: AsJson = False) -> None:
    """Show a request: what is asked, the evidence, the rules, the votes."""
    state = read_request(ledger_of(context), request_id)
    if as_json:
        print_json(described(state))
    else:
        show_state(state)


@app.command()
@answering
def approve(
    context: typer.Context,
    request_id: RequestId,
    *,
    reason: Reason = "",
    name: Name = None,
    seen: Seen = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Approve exactly what the request shows."""
    digest = seen_digest(context, request_id, "approve", seen=seen, yes=yes)
    _vote(context, request_id, "approve", digest, name, as_json=as_json, reason=reason)


@app.command()
@answering
def reject(
    context: typer.Context,
    request_id: RequestId,
    *,
    reason: Reason = "",
    name: Name = None,
    seen: Seen = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Reject what the request shows."""
    digest = seen_digest(context, request_id, "reject", seen=seen, yes=yes)
    _vote(context, request_id, "reject", digest, name, as_json=as_json, reason=reason)


@app.command("vote")
@answering
def cast_vote(
    context: typer.Context,
    request_id: RequestId,
    choice: Annotated[Word, typer.Argument(help="approve or reject.")],
    *,
    reason: Reason = "",
    meaning: Annotated[
        str, typer.Option(help="What your signature means, e.g. 'reviewed as model owner'.")
    ] = "",
    printed_name: Annotated[str, typer.Option(help="Your name as it is printed.")] = "",
    answers: Annotated[
        Path | None, typer.Option(help="A JSON file: what the form is filled in with.")
    ] = None,
    for_person: Annotated[
        str | None, typer.Option("--for", help="Whose delegated right you use.")
    ] = None,
    delivery: Annotated[
        str, typer.Option(help="Names this vote: the same name again changes nothing.")
    ] = "",
    name: Name = None,
    seen: Seen = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Vote with all that a signature can carry."""
    filled = read_document(answers, "the answers to the form") if answers else {}
    digest = seen_digest(context, request_id, choice.value, seen=seen, yes=yes)
    _vote(
        context,
        request_id,
        choice.value,
        digest,
        name,
        as_json=as_json,
        reason=reason,
        meaning=meaning,
        printed_name=printed_name,
        answers=filled,
        for_person=for_person,
        delivery=delivery,
    )


def _vote(
    context: typer.Context,
    request_id: str,
    choice: Literal["approve", "reject"],
    digest: str,
    name: str | None,
    *,
    as_json: bool,
    **more: Any,
) -> None:
    state = vote(
        ledger_of(context),
        request_id,
        choice=choice,
        evidence_digest=digest,
        **acting(name),
        **more,
    )
    answer(state, f"{choice} is recorded", as_json=as_json)


for act in (signoff_acts.delegate, signoff_acts.retract, signoff_acts.withdraw):
    app.command()(act)
app.command("break-glass")(signoff_acts.break_glass)
app.command()(signoff_acts.export)
app.command()(signoff_asking.request)
app.command()(signoff_asking.preview)
app.command()(signoff_asking.people)
