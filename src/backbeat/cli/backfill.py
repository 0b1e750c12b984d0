"""`profile backfill`: the past, counted day by day."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from backbeat.cli.monitors import monitor_at, reference_profile
from backbeat.cli.output import AsJson, ExitCode, answering, print_json, print_line, print_table
from backbeat.cli.places import data_uri, day_option, home
from backbeat.cli.progress import showing
from backbeat.reference import Dataset

__all__ = ["backfill"]


@answering
def backfill(
    context: typer.Context,
    monitor: Annotated[
        str,
        typer.Argument(metavar="MONITOR", help="The monitor's prefix in the store, or its folder."),
    ],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Files by day: landing/{day}.parquet.")
    ],
    *,
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first day; or --days.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="The last day. Default: yesterday, UTC.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many days.")] = 90,
    reference: Annotated[
        str | None,
        typer.Option(metavar="PROFILE", help="Pin this profile, or that of models:/…, first."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be counted; scan and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Count the days of the past, so that a monitor is calibrated on its first day.

    Days that are there are skipped: after an interruption, run it again. Days without data are
    named; exit code 1 where a day's data cannot be counted.
    """
    from backbeat.drift.backfill import backfill as count_days

    if "{day}" not in data:
        raise typer.BadParameter("DATA needs {day} in it, such as landing/{day}.parquet")
    last = day_option(until, "--until") or datetime.now(UTC).date() - timedelta(days=1)
    first = day_option(since, "--from")
    if first is not None:
        days = (last - first).days + 1
        if days < 1:
            raise typer.BadParameter("--from is after --until")
    watched = monitor_at(context, monitor)
    pinned = reference_profile(context, reference) if reference else watched.reference()
    if not dry_run:
        watched.pin(pinned)
    with showing("days") as progress:
        found = count_days(
            watched,
            pinned,
            Dataset(uri=data_uri(data), until=last, days=days),
            store=home(context),
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        print_json({**asdict(found), "dry_run": dry_run})
    else:
        print_line(
            f"{len(found.counted)} days {'would be' if dry_run else 'were'} counted, "
            f"{len(found.there)} were there already, {len(found.missing)} have no data"
        )
        if found.missing:
            print_line(f"no data: {', '.join(found.missing)}")
        if found.refused:
            print_table(["day", "refused"], found.refused.items(), empty="")
    return ExitCode.FAILED if found.refused else ExitCode.OK
