"""`signoff request`, `preview` and `people`: what is asked, of whom, and who people are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from backbeat.cli.output import AsJson, answering, print_json, print_line, print_table
from backbeat.cli.session import operating_system_user
from backbeat.cli.signoff_shown import answer, ledger_of, read_document, show_request
from backbeat.errors import InvalidData
from backbeat.signoff import (
    Asking,
    Request,
    keep_people,
    open_request,
    people_from_file,
    people_of,
)
from backbeat.signoff.timetable import timetable

__all__ = ["people", "preview", "request"]

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="JSON: subject, evidence, rules; see docs/signoff.md")
]
Workflow = Annotated[str, typer.Option(help="What waits for it, for people.")]


@answering
def request(
    context: typer.Context, file: File, *, workflow: Workflow = "by hand", as_json: AsJson = False
) -> None:
    """Ask people; the same file by the same person again is the same request."""
    asked = _read(file).request(
        requester=operating_system_user(), created=datetime.now(UTC), workflow=workflow
    )
    state = open_request(ledger_of(context), asked)
    if as_json:
        answer(state, "", as_json=True)
    else:
        print_line(f"{state.request.request_id} is {state.name}")


@answering
def preview(file: File, *, workflow: Workflow = "by hand", as_json: AsJson = False) -> None:
    """Show what people would see, and when who would be told; nothing is written."""
    asked = _read(file).request(
        requester=operating_system_user(), created=datetime.now(UTC), workflow=workflow
    )
    if as_json:
        print_json(_previewed(asked))
        return
    show_request(asked, "not asked yet")
    rows = [
        (f"{one.at:%Y-%m-%d %H:%M} UTC", one.key, ", ".join(one.to) or "those who may vote")
        for one in timetable(asked)
    ]
    print_table(["when", "what", "to"], rows, empty="nobody is told before the deadline")


@answering
def people(
    context: typer.Context,
    *,
    keep: Annotated[
        Path | None, typer.Option(help="A JSON file that replaces the ledger's directory.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show, or replace, who is who: doors, groups, roles, standing delegations."""
    ledger = ledger_of(context)
    if keep is not None:
        keep_people(ledger, people_from_file(keep), actor=operating_system_user())
    found = people_of(ledger)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    rows = [
        *(("door", door, who) for door, who in found.identities.items()),
        *(("group", name, ", ".join(members)) for name, members in found.groups.items()),
        *(("role", name, ", ".join(members)) for name, members in found.roles.items()),
        *(
            ("delegation", one.delegator, f"{one.delegate} until {one.ends:%Y-%m-%d %H:%M}")
            for one in found.delegations
        ),
    ]
    print_table(["what", "name", "who"], rows, empty="nobody is known: ids are taken as they come")


def _read(file: Path) -> Asking:
    try:
        return Asking.model_validate(read_document(file, "a sign-off"))
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc'])) or 'the document'}: {item['msg']}"
            for item in error.errors(include_url=False)[:5]
        ]
        raise InvalidData(
            f"{file} is no sign-off: {'; '.join(problems)}", hint="see docs/signoff.md"
        ) from error


def _previewed(asked: Request) -> dict[str, object]:
    return {
        "request": asked.described(),
        "evidence_digest": asked.evidence_digest,
        "timetable": [
            {"at": one.at.isoformat(), "key": one.key, "kind": one.kind, "to": list(one.to)}
            for one in timetable(asked)
        ],
    }
