"""`drift run`: every model of a file, checked in turn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backbeat.cli.output import AsJson, ExitCode, answering, print_json, print_line, print_table
from backbeat.cli.session import Session, operating_system_user
from backbeat.errors import BackbeatError
from backbeat.identity import RunIdentity

if TYPE_CHECKING:
    from backbeat.platform import Platform
    from backbeat.step import Step

__all__ = ["run"]

_PASSES = {"stable", "no_reference"}


@answering
def run(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE.yaml", help="See docs/many-models.md.")],
    *,
    partition: Annotated[str, typer.Option(help="The batch's name, such as its day.")],
    only: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="This model; can be repeated.")
    ] = None,
    run_name: Annotated[
        str | None,
        typer.Option("--run", help="The workflow run; the same one for a retry. Default: new."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show each check; perform and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Check the models of a file; one that fails keeps no other from being checked.

    Exit code 1 where one is not stable, else that of the first error.
    """
    from backbeat.drift.watchlist import read_watchlist

    steps = read_watchlist(file).steps(partition, only=only or ())
    if dry_run:
        print_json({name: step.to_json() for name, step in steps.items()})
        return ExitCode.OK
    session: Session = context.obj
    platform = session.platform()
    name = run_name or f"cli-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    found: dict[str, dict[str, Any]] = {}
    code = ExitCode.OK
    for done, (model, step) in enumerate(steps.items(), start=1):
        identity = RunIdentity(
            workflow="drift",
            run=name,
            task=model,
            partition=partition,
            actor=operating_system_user(),
        )
        found[model] = _checked(step, identity, platform)
        print_line(f"{done} of {len(steps)} models", error=True)
        code = max(code, _code(found[model]))
    if as_json:
        print_json(found)
    else:
        columns = ["model", "verdict", "calibrated", "alarms", "action", "report"]
        rows = [(model, *_row(value)) for model, value in found.items()]
        print_table(columns, rows, empty="there are no models")
    return code


def _checked(step: Step, identity: RunIdentity, platform: Platform) -> dict[str, Any]:
    from backbeat.runner import run_step
    from backbeat.step import Done

    try:
        outcome = run_step(step, identity, platform)
    except BackbeatError as error:
        return error.as_json()
    return dict(outcome.value) if isinstance(outcome, Done) else outcome.model_dump(mode="json")


def _code(value: dict[str, Any]) -> ExitCode:
    if "error" in value:
        return ExitCode.RETRYABLE if value["retryable"] else ExitCode.FINAL
    return ExitCode.OK if value.get("verdict") in _PASSES else ExitCode.FAILED


def _row(value: dict[str, Any]) -> tuple[Any, ...]:
    if "error" in value:
        return f"{value['error']}: {value['message']}", "", "", "", ""
    return (
        value.get("verdict"),
        "yes" if value.get("calibrated") else "no",
        ", ".join(value.get("alarms", [])),
        value.get("action", ""),
        value.get("report", ""),
    )
