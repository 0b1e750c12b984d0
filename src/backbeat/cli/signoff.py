"""`signoff`: requests, what they show, and votes that are bound to what was shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import typer

from backbeat.cli.output import (
    AsJson,
    answering,
    plain,
    print_facts,
    print_json,
    print_line,
    print_table,
)
from backbeat.cli.session import Session, interactive, operating_system_user
from backbeat.identity import Actor
from backbeat.platform import Platform
from backbeat.signoff import State, read_request, requests, vote

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See what waits for people, and decide.")

_LEAST_DIGITS = 12

RequestId = Annotated[str, typer.Argument(metavar="ID", help="The request, e.g. so-1f….")]
Reason = Annotated[str, typer.Option(help="In your words; shown with the vote.")]
Name = Annotated[
    str | None,
    typer.Option("--as", help="Your id among the approvers. Default: your operating-system user."),
]
Seen = Annotated[
    str | None,
    typer.Option(
        help="Digest of the evidence you looked at, or its first 12 hex digits; the vote is "
        "refused if the request shows something else."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Vote on what the request shows, unasked.")]


class StateName(StrEnum):
    """What a request can be."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


@app.command("list")
@answering
def list_requests(
    context: typer.Context,
    *,
    state: Annotated[StateName | None, typer.Option(help="Only these.")] = None,
    as_json: AsJson = False,
) -> None:
    """List requests, newest first."""
    found = requests(_platform(context).ledger, state=state)
    if as_json:
        print_json([_described(item) for item in found])
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
    state = read_request(_platform(context).ledger, request_id)
    if as_json:
        print_json(_described(state))
    else:
        _show(state)


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
    shown = _shown(context, request_id, "approve", seen=seen, yes=yes)
    _vote(context, shown, "approve", reason=reason, name=name, as_json=as_json)


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
    """Reject what the request shows; one counted rejection decides."""
    shown = _shown(context, request_id, "reject", seen=seen, yes=yes)
    _vote(context, shown, "reject", reason=reason, name=name, as_json=as_json)


@dataclass(frozen=True)
class _Shown:
    request_id: str
    digest: str


def _shown(
    context: typer.Context, request_id: str, choice: str, *, seen: str | None, yes: bool
) -> _Shown:
    """What the voter has looked at: here, before (`seen`), or by their word (`yes`)."""
    state = read_request(_platform(context).ledger, request_id)
    digest = state.request.evidence_digest
    if seen is not None:
        return _Shown(request_id, _confirmed(seen, digest))
    if not yes:
        if not interactive():
            raise typer.BadParameter(
                "nobody is there to look at the evidence: pass --seen <digest>, or --yes"
            )
        _show(state)
        typer.confirm(f"{choice} {plain(state.request.subject)!r}?", abort=True)
    return _Shown(request_id, digest)


def _vote(
    context: typer.Context,
    shown: _Shown,
    choice: Literal["approve", "reject"],
    *,
    reason: str,
    name: str | None,
    as_json: bool,
) -> None:
    state = vote(
        _platform(context).ledger,
        shown.request_id,
        choice=choice,
        actor=Actor(id=name, method="cli") if name else operating_system_user(),
        evidence_digest=shown.digest,
        reason=reason,
    )
    if as_json:
        print_json(_described(state))
        return
    print_line(f"{choice} is recorded; {shown.request_id} is {state.name}")
    if state.decision is None:
        counted = sum(item.choice == "approve" for item in state.votes)
        print_line(f"{counted} of {state.request.rules.quorum} approvals")


def _confirmed(seen: str, digest: str) -> str:
    """The whole digest where `seen` begins it; else `seen` itself, so that the refusal is kept."""
    hexadecimal = seen.removeprefix("sha256:")
    if len(hexadecimal) < _LEAST_DIGITS:
        raise typer.BadParameter(f"--seen takes at least {_LEAST_DIGITS} hex digits of the digest")
    begins = digest.removeprefix("sha256:").startswith(hexadecimal.lower())
    return digest if begins else f"sha256:{hexadecimal}"


def _platform(context: typer.Context) -> Platform:
    session: Session = context.obj
    return session.with_ledger("backbeat signoff")


def _described(state: State) -> dict[str, Any]:
    return {
        "state": state.name,
        "evidence_digest": state.request.evidence_digest,
        "request": state.request.model_dump(mode="json"),
        "votes": [item.model_dump(mode="json") for item in state.votes],
        "decision": state.decision.model_dump(mode="json") if state.decision else None,
    }


def _show(state: State) -> None:
    request, rules = state.request, state.request.rules
    print_facts(
        {
            "id": request.request_id,
            "state": state.name,
            "subject": request.subject,
            "about": request.about,
            "asked by": f"{request.requester.id} ({request.requester.method})",
            "workflow": request.workflow,
            "deadline": f"{request.deadline:%Y-%m-%d %H:%M:%S} UTC, then {rules.default}",
            "rules": f"{rules.quorum} of {', '.join(rules.approvers) or 'anybody known'}"
            + (", four eyes" if rules.four_eyes else ""),
            "evidence": request.evidence,
            "digest": request.evidence_digest,
        }
    )
    rows = [
        (item.actor.id, item.actor.method, item.choice, f"{item.at:%Y-%m-%d %H:%M}", item.reason)
        for item in state.votes
    ]
    print_table(["who", "through", "vote", "at (UTC)", "reason"], rows, empty="no votes yet")
    if state.decision is not None:
        print_line(f"{state.name} by {', '.join(state.decision.by)}")
