"""What the commands of `signoff` have in common: their options, who acts, what they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from backbeat.cli.output import plain, print_facts, print_json, print_line, print_table
from backbeat.cli.session import Session, interactive, operating_system_user
from backbeat.errors import InvalidData
from backbeat.identity import Actor
from backbeat.platform import Platform
from backbeat.ports import Ledger
from backbeat.signoff import Request, State, read_request

__all__ = [
    "Name",
    "Reason",
    "RequestId",
    "Seen",
    "Yes",
    "acting",
    "answer",
    "described",
    "ledger_of",
    "read_document",
    "seen_digest",
    "show_request",
    "show_state",
]

_LEAST_DIGITS = 12
_MOST_BYTES = 4_000_000

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


def ledger_of(context: typer.Context) -> Ledger:
    """The ledger that the global options name."""
    session: Session = context.obj
    platform: Platform = session.with_ledger("backbeat signoff")
    return platform.ledger


def acting(name: str | None) -> dict[str, Any]:
    """Who acts: the operating system's user, or who that user claims to be, and then both."""
    user = operating_system_user()
    if name is None or name == user.id:
        return {"actor": user}
    return {"actor": Actor(id=name, method="cli"), "claimed_by": user.id}


def seen_digest(
    context: typer.Context, request_id: str, choice: str, *, seen: str | None, yes: bool
) -> str:
    """What the voter has looked at: here, before (`seen`), or by their word (`yes`)."""
    state = read_request(ledger_of(context), request_id)
    digest = state.request.evidence_digest
    if seen is not None:
        return _confirmed(seen, digest)
    if not yes:
        if not interactive():
            raise typer.BadParameter(
                "nobody is there to look at the evidence: pass --seen <digest>, or --yes"
            )
        show_state(state)
        typer.confirm(f"{choice} {plain(state.request.subject)!r}?", abort=True)
    return digest


def read_document(path: Path, what: str) -> Any:
    """A JSON file's document.

    Raises:
        InvalidData: It cannot be read, is too long or is no JSON.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidData(f"{path} is too long for {what}", hint="show a summary, and link")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidData(
            f"{path} cannot be read as JSON: {type(error).__name__}", hint=f"write {what} as JSON"
        ) from error


def answer(state: State, said: str, *, as_json: bool) -> None:
    """The state after an act, or what was done in one line."""
    if as_json:
        print_json(described(state))
        return
    print_line(f"{said}; {state.request.request_id} is {state.name}")
    if state.decision is None:
        needed = state.request.rules.in_order[state.standing.stage].quorum
        print_line(f"{needed - state.standing.missing} of {needed} approvals")


def described(state: State) -> dict[str, Any]:
    """A request as JSON."""
    standing = state.standing
    return {
        "state": state.name,
        "evidence_digest": state.request.evidence_digest,
        "request": state.request.described(),
        "votes": [item.model_dump(mode="json") for item in state.votes],
        "stage": standing.stage,
        "missing": standing.missing,
        "not_counted": [item.model_dump(mode="json") for item in standing.not_counted],
        "next_due": standing.next_due.isoformat() if standing.next_due else None,
        "decision": state.decision.model_dump(mode="json") if state.decision else None,
    }


def show_request(request: Request, state: str) -> None:
    """A request for people."""
    rules = request.rules
    facts: dict[str, Any] = {
        "id": request.request_id,
        "state": state,
        "subject": request.subject,
        "about": request.about,
        "asked by": f"{request.requester.id} ({request.requester.method})",
        "workflow": request.workflow,
        "deadline": f"{request.deadline:%Y-%m-%d %H:%M:%S} UTC, then {rules.default}",
    }
    for number, stage in enumerate(rules.in_order, start=1):
        name = "rules" if not rules.stages else f"stage {number} {stage.name}".rstrip()
        facts[name] = f"{stage.quorum} of {', '.join(stage.of) or 'anybody known'}"
        facts[name] += ", four eyes" if stage.two_pairs_of_eyes else ""
        facts[name] += f", veto by {', '.join(stage.veto)}" if stage.veto else ""
        facts[name] += f", only by {', '.join(stage.methods)}" if stage.methods else ""
    shown = request.shown.model_dump(mode="json", exclude_defaults=True) if request.shown else {}
    form = request.form.model_dump(mode="json", exclude_defaults=True) if request.form else {}
    more = {"evidence": request.evidence, **shown, "form": form}
    facts |= {name: value for name, value in more.items() if value}
    print_facts({**facts, "digest": request.evidence_digest})


def show_state(state: State) -> None:
    """A request and its votes for people."""
    show_request(state.request, state.name)
    rows = [
        (
            item.actor.id,
            f"{item.actor.method} (claim)" if item.is_claim else item.actor.method,
            item.choice,
            f"{item.at:%Y-%m-%d %H:%M}",
            item.reason,
            next((str(code) for vote, code in _codes(state) if vote == item), ""),
        )
        for item in state.votes
    ]
    columns = ["who", "through", "vote", "at (UTC)", "reason", "does not count"]
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]  # type: ignore[misc]
    print_table(columns, rows, empty="no votes yet")
    if state.decision is not None:
        print_line(f"{state.name} by {', '.join(state.decision.by)}")


def _codes(state: State) -> list[tuple[Any, Any]]:
    return [(item.vote, item.code) for item in state.standing.not_counted]


def _confirmed(seen: str, digest: str) -> str:
    """The whole digest where `seen` begins it; else `seen` itself, so that the refusal is kept."""
    hexadecimal = seen.removeprefix("sha256:")
    if len(hexadecimal) < _LEAST_DIGITS:
        raise typer.BadParameter(f"--seen takes at least {_LEAST_DIGITS} hex digits of the digest")
    begins = digest.removeprefix("sha256:").startswith(hexadecimal.lower())
    return digest if begins else f"sha256:{hexadecimal}"
