"""`ledger`: its schema, its roles, copies of it, and how long it remembers."""

from __future__ import annotations

from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backbeat.cli.output import AsJson, ExitCode, answering, print_json, print_line, print_table
from backbeat.cli.session import Session, operating_system_user
from backbeat.errors import NotFound, UnmetNeed
from backbeat.telemetry import redact

if TYPE_CHECKING:
    from backbeat.ledger.sql import SqlLedger

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Look after the ledger: schema, roles, backup, retention. See docs/ledger.md.",
)
Address = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="ADDRESS",
        help="A SQLite file or postgresql://user@host/database. Default: BACKBEAT_LEDGER, which "
        "keeps a password out of the process list, else ledger.db in the platform's folder.",
    ),
]


@app.command("migrate")
@answering
def bring_forward(
    context: typer.Context,
    *,
    ledger: Address = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a ledger, or bring its schema forward.

    Workers of the release before keep working on it, so run this before you roll out the new
    one. It needs a role that may create tables.
    """
    from backbeat.ledger.address import open_database
    from backbeat.ledger.migrations import SCHEMA_VERSION, admitted_schema, migrate

    address = _address(context, ledger)
    database = open_database(address)
    context.call_on_close(database.close)
    before = 0
    if _is_there(address):
        with database.read() as view:
            before = admitted_schema(view).version
    after = max(before, SCHEMA_VERSION)
    if not dry_run:
        if _file(address) is None:
            migrate(database)
        else:
            _open(context, address)  # whoever opens a file brings it forward
    if as_json:
        facts = {"ledger": database.name, "before": before, "after": after, "dry_run": dry_run}
        print_json(facts)
    elif before == after:
        print_line(f"{database.name} has schema {after} already: nothing to do")
    else:
        done = f"brought from schema {before} to {after}" if before else f"made with schema {after}"
        print_line(f"{database.name} {'would be' if dry_run else 'was'} {done}")


@app.command()
@answering
def roles() -> None:
    """Print the SQL that makes least-privilege roles on PostgreSQL, for psql."""
    print(files("backbeat.ledger").joinpath("roles.sql").read_text(), end="")


@app.command()
@answering
def backup(
    context: typer.Context,
    target: Annotated[
        Path, typer.Argument(metavar="FILE", help="The copy; it must not exist yet.")
    ],
    *,
    ledger: Address = None,
    as_json: AsJson = False,
) -> None:
    """Copy the ledger to one SQLite file, as it stands at this moment; workers go on working."""
    from backbeat.ledger.backup import back_up

    opened = _existing(context, ledger)
    rows = back_up(opened, target)
    _say_copied(
        f"{opened.name} was copied to {target}", {"backup": str(target)}, rows, as_json=as_json
    )


@app.command()
@answering
def restore(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="What `backup` wrote.", exists=True, dir_okay=False),
    ],
    *,
    ledger: Address = None,
    as_json: AsJson = False,
) -> None:
    """Fill a new ledger from a backup; also the way from SQLite to PostgreSQL, and back.

    On PostgreSQL run `ledger migrate` first. A ledger that holds anything is refused.
    """
    from backbeat.ledger.backup import restore as fill

    opened = _open(context, _address(context, ledger))
    rows = fill(opened, source)
    facts = {"restored": str(source)}
    _say_copied(f"{opened.name} was filled from {source}", facts, rows, as_json=as_json)


@app.command()
@answering
def prune(
    context: typer.Context,
    *,
    days: Annotated[
        float, typer.Option(min=1, metavar="DAYS", help="Keep what is younger; at least 1.")
    ] = 400,
    ledger: Address = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would leave; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove finished work and settled sign-off requests that are old.

    Whatever is claimed, waits or is open stays, and so does the whole audit log. What has left is
    performed again if an orchestrator asks for it again: keep more days than anybody clears back.
    """
    from backbeat.ledger.prune import prune as remove

    actor = operating_system_user()
    opened = _existing(context, ledger)
    found = remove(opened, days=days, actor=actor, dry_run=dry_run)
    if as_json:
        print_json({**asdict(found), "dry_run": dry_run})
    else:
        print_line(
            f"{found.runs} finished runs and {found.streams} settled requests from before "
            f"{found.before} {'would leave' if dry_run else 'were removed'}"
        )


@app.command()
@answering
def doctor(context: typer.Context, *, ledger: Address = None, as_json: AsJson = False) -> ExitCode:
    """Look at schema, audit log, waiting messages, leases and clock; exit code 1 if one is wrong.

    Re-hashes every audit entry.
    """
    from backbeat.ledger.examine import examine

    found = examine(_existing(context, ledger))
    ok = all(finding.ok for finding in found)
    if as_json:
        print_json({"ok": ok, "findings": [asdict(finding) for finding in found]})
    else:
        for finding in found:
            print_line(f"{'ok   ' if finding.ok else 'WRONG'} {finding.name}: {finding.detail}")
    return ExitCode.OK if ok else ExitCode.FAILED


def _address(context: typer.Context, given: str | None) -> str:
    session: Session = context.obj
    settings = session.settings()
    found = given or settings["ledger"]
    if not found and settings["folder"]:
        from backbeat.wiring.in_folder import ledger_file

        found = str(ledger_file(Path(settings["folder"]).expanduser().absolute()))
    if not found:
        raise UnmetNeed(
            "no ledger is named",
            hint="pass --ledger or --folder, or set BACKBEAT_LEDGER or BACKBEAT_FOLDER",
        )
    if found == "none":
        raise UnmetNeed(
            "the platform has no ledger: BACKBEAT_LEDGER is `none`", hint="pass --ledger"
        )
    if found.startswith(("http://", "https://")):
        raise UnmetNeed(
            f"{redact(found)} is a service before a ledger, and only its database can be looked "
            "after",
            hint="run this beside the service, with --ledger and the address of the database",
        )
    return found


def _file(address: str) -> Path | None:
    named = "://" not in address or address.startswith("sqlite:")
    return Path(address.removeprefix("sqlite:///")).expanduser() if named else None


def _is_there(address: str) -> bool:
    file = _file(address)
    return file is None or file.exists()


def _existing(context: typer.Context, given: str | None) -> SqlLedger:
    address = _address(context, given)
    if not _is_there(address):
        raise NotFound(
            f"there is no ledger {address}",
            hint="see whether its name is right; `backbeat ledger migrate` makes a new one",
        )
    return _open(context, address)


def _open(context: typer.Context, address: str) -> SqlLedger:
    from backbeat.ledger import open_ledger

    opened: Any = open_ledger(address)
    context.call_on_close(opened.close)
    return opened  # type: ignore[no-any-return]


def _say_copied(said: str, facts: dict[str, Any], rows: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        print_json({**facts, "rows": rows})
    else:
        print_line(f"{said}: {sum(rows.values())} rows")
        held = sorted((name.removeprefix("backbeat_"), n) for name, n in rows.items() if n)
        print_table(["table", "rows"], held, empty="it holds nothing yet")
