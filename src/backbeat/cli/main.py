"""The `backbeat` command: its global options, and where its commands come from."""

from __future__ import annotations

import platform as machine
from typing import Annotated

import typer

import backbeat
from backbeat.cli import (
    contract,
    drift,
    ledger,
    notify,
    profile,
    quality,
    runs,
    signoff,
    steps,
    token,
)
from backbeat.cli.doctor import doctor
from backbeat.cli.output import AsJson, answering, print_facts, print_json
from backbeat.cli.serve import serve
from backbeat.cli.session import Session

__all__ = ["app", "main"]

_EPILOG = (
    "Exit codes: 0 ok; 1 a check failed or a gate blocked; 2 wrong usage; 3 refused by policy or "
    "rules; 4 waiting for people; 5 an error that a retry can cure; 6 an error that it cannot."
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The steady part behind a model: run steps, sign off, look at the record.",
    epilog=_EPILOG,
)


@app.callback()
def folder_option(
    context: typer.Context,
    *,
    folder: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="The platform's folder. Default: BACKBEAT_FOLDER."),
    ] = None,
) -> None:
    """Keep the global options for the command."""
    context.obj = Session(folder=folder)


@answering
def tick(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Settle requests past their deadline and send waiting messages; for cron."""
    from backbeat.runner import tick as tick_once

    session: Session = context.obj
    done = tick_once(session.platform())
    if as_json:
        print_json(done)
    else:
        print_facts(done)


@answering
def version(*, as_json: AsJson = False) -> None:
    """Print the versions of backbeat and Python."""
    facts = {"backbeat": backbeat.__version__, "python": machine.python_version()}
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


for command in (steps.schema, steps.validate, steps.run, doctor, serve, tick, version):
    app.command()(command)
app.add_typer(signoff.app, name="signoff")
app.add_typer(runs.app, name="runs")
app.add_typer(ledger.app, name="ledger")
app.add_typer(contract.app, name="contract")
app.add_typer(profile.app, name="profile")
app.add_typer(drift.app, name="drift")
app.add_typer(quality.app, name="quality")
app.add_typer(token.app, name="token")
app.add_typer(notify.app, name="notify")


def main() -> None:
    """Run the command; the process ends with its exit code."""
    app(prog_name="backbeat")
