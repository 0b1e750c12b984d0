"""`schema`, `validate`, `run`: a step as a file."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from backbeat.cli.output import (
    AsJson,
    ExitCode,
    answering,
    print_facts,
    print_json,
    print_line,
    print_table,
)
from backbeat.cli.session import Session, operating_system_user
from backbeat.errors import InvalidStep
from backbeat.identity import RunIdentity
from backbeat.kinds import KINDS, step_class, step_from_json
from backbeat.step import Step

__all__ = ["run", "schema", "validate"]

StepFile = Annotated[str, typer.Argument(metavar="STEP.JSON", help="`-` reads stdin.")]
_EXITS = {"done": ExitCode.OK, "waiting": ExitCode.WAITING, "blocked": ExitCode.FAILED}


@answering
def schema(
    kind: Annotated[
        str | None, typer.Argument(help="Such as drift.check or drift.check/v1.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print the JSON Schema of a step, or list the kinds there are."""
    if kind is not None:
        print_json(_json_schema(step_class(kind)))
        return
    kinds = [
        {"kind": name, "what": (step_class(name).__doc__ or "").partition("\n")[0]}
        for name in KINDS
    ]
    if as_json:
        print_json(kinds)
    else:
        rows = [(item["kind"], item["what"]) for item in kinds]
        print_table(["kind", "what it does"], rows, empty="there are no step kinds")


@answering
def validate(path: StepFile, *, as_json: AsJson = False) -> None:
    """Check a step's JSON without running it; print its kind and its digest."""
    step = _read(path)
    facts = {"kind": step.kind, "digest": step.digest()}
    if as_json:
        print_json({**facts, "step": step.to_json()})
    else:
        print_facts(facts)


@answering
def run(
    context: typer.Context,
    path: StepFile,
    *,
    workflow: Annotated[str, typer.Option(help="DAG id or job name.")] = "cli",
    run_name: Annotated[
        str | None,
        typer.Option(
            "--run", help="The workflow run; give the same one for a retry. Default: a new one."
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task id. Default: the step's kind.")] = None,
    partition: Annotated[str | None, typer.Option(help="Partition key.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be done; perform nothing and write nothing."
        ),
    ] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Perform a step, wherever this runs: a shell, a container, a pod."""
    step = _read(path)
    session: Session = context.obj
    identity = RunIdentity(
        workflow=workflow,
        run=run_name or f"cli-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}",
        task=task or step.kind.partition("/")[0],
        partition=partition,
        actor=operating_system_user(),
    )
    if dry_run:
        return _rehearse(step, identity, session, as_json=as_json)
    from backbeat.runner import run_step

    platform = session.platform()
    platform.progress = _progress
    outcome = run_step(step, identity, platform)
    document = outcome.model_dump(mode="json")
    if as_json:
        print_json(document)
    else:
        facts = {name: value for name, value in document.items() if value not in (None, {}, [])}
        print_facts({"run": identity.run, **facts})
    return _EXITS[outcome.status]


def _rehearse(step: Step, run: RunIdentity, session: Session, *, as_json: bool) -> ExitCode:
    from backbeat.runner.rehearse import rehearse

    found = rehearse(step, run, session.untouched_platform())
    facts = {
        "would": found.would,
        "kind": step.kind,
        "key": found.key,
        "recorded": found.state,
        "policy": found.policy.reason,
        "inputs": dict(found.inputs),
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)
    return ExitCode.OK if found.policy.allowed else ExitCode.REFUSED


def _read(path: str) -> Step:
    # the platform's folder is not needed for this, so that CI can check steps without one
    name = "stdin" if path == "-" else Path(path).name
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        document = json.loads(text, parse_constant=_no_constant)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidStep(
            f"{name} is not JSON: {error}", hint="see `backbeat schema` for what a step looks like"
        ) from error
    if not isinstance(document, dict):
        raise InvalidStep(
            f"{name} holds a JSON {type(document).__name__}, and a step is an object",
            hint='write {"kind": "...", ...}',
        )
    return step_from_json(document)


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _json_schema(cls: type[Step]) -> dict[str, Any]:
    found = cls.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "properties": {"kind": {"const": cls.kind}, **found.get("properties", {})},
        "required": ["kind", *found.get("required", [])],
    }


def _progress(done: int, total: int, what: str) -> None:
    print_line(f"{done} of {total} {what}", error=True)
