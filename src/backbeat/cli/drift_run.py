"""`drift run`: every model of a file, checked in turn."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backbeat.cli.output import AsJson, ExitCode, answering, print_json, print_line, print_table
from backbeat.cli.progress import showing
from backbeat.cli.session import Session, operating_system_user
from backbeat.errors import BackbeatError, Refused, RetryableError
from backbeat.identity import RunIdentity
from backbeat.telemetry import redact

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

    Exit code 0 where all are stable, 1 where one is not, and above 1 where a check failed: that of
    the gravest error.
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
    with showing("models") as advance:
        for done, (model, step) in enumerate(steps.items(), start=1):
            identity = RunIdentity(
                workflow="drift",
                run=name,
                task=model,
                partition=partition,
                actor=operating_system_user(),
            )
            found[model], ending = _checked(step, identity, platform)
            code = max(code, ending)
            advance(done, len(steps))
    if as_json:
        print_json(found)
    else:
        _show(found)
    return code


def _checked(
    step: Step, identity: RunIdentity, platform: Platform
) -> tuple[dict[str, Any], ExitCode]:
    from backbeat.runner import run_step

    try:
        outcome = run_step(step, identity, platform)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other models are checked
        return _failed(error)
    value = outcome.model_dump(mode="json")
    value = value.get("value", value)
    return value, ExitCode.OK if value.get("verdict") in _PASSES else ExitCode.FAILED


def _failed(error: Exception) -> tuple[dict[str, Any], ExitCode]:
    if not isinstance(error, BackbeatError):
        # nobody expects it: as in every command, the trace says where it is, and a retry can help
        print_line(redact("".join(traceback.format_exception(error))), error=True)
        described = {
            "error": type(error).__name__,
            "message": redact(str(error)),
            "hint": "this is not an error that backbeat expects; the trace says where it is",
            "retryable": True,
            "retry_after": None,
        }
        return described, ExitCode.RETRYABLE
    described = {**error.as_json(), "message": redact(error.message)}
    if isinstance(error, Refused):
        return described, ExitCode.REFUSED
    return described, ExitCode.RETRYABLE if isinstance(error, RetryableError) else ExitCode.FINAL


def _show(found: dict[str, dict[str, Any]]) -> None:
    columns = ["model", "verdict", "calibrated", "alarms", "action", "report"]
    rows = [(model, *_row(value)) for model, value in found.items()]
    print_table(columns, rows, empty="there are no models")
    for model, value in found.items():
        if "error" in value:
            print_line(f"{model}: {value['error']}: {value['message']}", error=True)
            if value["hint"]:
                print_line(f"  hint: {value['hint']}", error=True)


def _row(value: dict[str, Any]) -> tuple[Any, ...]:
    if "error" in value:
        return "failed", "", "", "", ""
    return (
        value.get("verdict"),
        "yes" if value.get("calibrated") else "no",
        # without a monitor or rules nothing can be muted: what moved is told
        ", ".join(value.get("alarms", value.get("columns", []))),
        value.get("action", ""),
        value.get("report", ""),
    )
