"""`runs`: what the ledger knows about work."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer

from backbeat.cli.output import AsJson, answering, print_facts, print_json, print_table
from backbeat.cli.session import Session
from backbeat.errors import NotFound
from backbeat.platform import Platform
from backbeat.ports import RunRecord

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="See recorded work.")


class RunState(StrEnum):
    """What a piece of work can be."""

    CLAIMED = "claimed"
    DONE = "done"
    WAITING = "waiting"
    BLOCKED = "blocked"
    FAILED = "failed"
    DENIED = "denied"


@app.command("list")
@answering
def list_runs(
    context: typer.Context,
    *,
    state: Annotated[RunState | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List work, newest first."""
    found = _platform(context).ledger.runs(state=state, limit=limit)
    if as_json:
        print_json([_described(record) for record in found])
        return
    print_table(
        ["key", "kind", "state", "workflow", "run", "task", "started (UTC)", "seconds"],
        [
            (
                record.key.removeprefix("sha256:")[:12],
                record.kind,
                record.state,
                record.identity["workflow"],
                record.identity["run"],
                _task(record),
                f"{record.started_at:%Y-%m-%d %H:%M:%S}",
                _seconds(record),
            )
            for record in found
        ],
        empty="no work is recorded",
    )


@app.command()
@answering
def show(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="The key, or enough of its beginning.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one piece of work: attempts, inputs, outcome, lease."""
    ledger = _platform(context).ledger
    record = ledger.run(key if key.startswith("sha256:") else f"sha256:{key}")
    if record is None:
        raise NotFound(
            f"not exactly one piece of work has a key that begins with {key}",
            hint="see `backbeat runs list`, and give more of the key",
        )
    tries = ledger.attempts(record.key)
    if as_json:
        print_json({**_described(record), "attempts": [asdict(item) for item in tries]})
        return
    described = _described(record)
    print_facts({name: described[name] for name in described if name != "identity"})
    print_table(
        ["token", "try", "worker", "started (UTC)", "ended (UTC)", "ending"],
        [
            (
                item.token,
                item.identity["attempt"],
                item.owner.rpartition(":")[2] if item.owner else "",
                f"{item.started_at:%Y-%m-%d %H:%M:%S}",
                f"{item.ended_at:%Y-%m-%d %H:%M:%S}" if item.ended_at else "",
                item.ending,
            )
            for item in tries
        ],
        empty="no attempt took a lease",
    )


def _platform(context: typer.Context) -> Platform:
    session: Session = context.obj
    return session.with_ledger("backbeat runs")


def _described(record: RunRecord) -> dict[str, Any]:
    described = asdict(record)
    for name in ("lease_until", "started_at", "finished_at"):
        described[name] = described[name].isoformat() if described[name] else None
    return described


def _task(record: RunRecord) -> str:
    partition = record.identity.get("partition")
    return f"{record.identity['task']}@{partition}" if partition else record.identity["task"]


def _seconds(record: RunRecord) -> str:
    if record.finished_at is None:
        return ""
    return f"{(record.finished_at - record.started_at).total_seconds():.1f}"
