"""`drift`: has the data moved away from what the model knows, today, before, by other rules?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backbeat.cli.drift_run import run
from backbeat.cli.monitors import (
    known_column,
    monitor_at,
    near,
    number,
    policy_from,
    print_decision,
    reference_profile,
    rules_from,
    say,
)
from backbeat.cli.output import AsJson, ExitCode, answering, print_json, print_line, print_table
from backbeat.cli.places import DataPlace, day_option, home, place, table
from backbeat.cli.progress import showing
from backbeat.cli.session import operating_system_user
from backbeat.errors import NotFound

if TYPE_CHECKING:
    from backbeat.drift.backtest import Sight
    from backbeat.drift.lines import ColumnLine

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Check for drift, look back, mute, acknowledge, try other rules. See docs/drift.md.",
)

app.command()(run)

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 60

MonitorPlace = Annotated[
    str, typer.Argument(metavar="MONITOR", help="The monitor's prefix in the store, or its folder.")
]
RulesFile = Annotated[
    str,
    typer.Option(
        "--rules", metavar="FILE.json", help="Thresholds; see `backbeat schema drift.check`."
    ),
]
Reason = Annotated[str, typer.Option(help="Why, in your words; kept with the mark.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")]


@app.command()
@answering
def check(
    context: typer.Context,
    current: DataPlace,
    *,
    reference: Annotated[
        str | None,
        typer.Option(metavar="PROFILE", help="A profile, or models:/<name>@<alias>."),
    ] = None,
    monitor: Annotated[
        str | None,
        typer.Option(metavar="MONITOR", help="Use its reference and its past; keep the batch."),
    ] = None,
    partition: Annotated[
        str, typer.Option(help="The batch's name, such as its day; with --monitor.")
    ] = "",
    rules: Annotated[
        str | None, typer.Option(metavar="FILE.json", help="Thresholds that are not the defaults.")
    ] = None,
    retrain: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.json", help="A policy for retraining; with --monitor. Says what follows."
        ),
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="FILE.html", help="Write the HTML report there.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Compare a table with what is known; exit code 1 unless it is stable.

    `insufficient_data` ends with 1 too: nothing was seen, and that is no promise. {day} in DATA
    stands for the partition.
    """
    from backbeat.data import open_dataset
    from backbeat.drift import Rules, report_html
    from backbeat.drift.actions import follow
    from backbeat.drift.checking import check_batch, keep

    if (reference is None) == (monitor is None):
        raise typer.BadParameter("give either --reference or --monitor")
    if monitor is not None and not partition:
        raise typer.BadParameter("--monitor needs --partition: the batch's name, such as its day")
    if retrain is not None and monitor is None:
        raise typer.BadParameter("--retrain needs --monitor, which keeps what was started")
    chosen = rules_from(rules) if rules else Rules()
    policy = policy_from(retrain) if retrain else None
    watched = None if monitor is None else monitor_at(context, monitor)
    pinned = watched.reference() if watched else reference_profile(context, reference or "")
    window = {"until": day_option(partition, "--partition")} if "{day}" in current else {}
    dataset, files = table(context, current, **window)
    with showing("rows") as progress:
        rows = open_dataset(home(context), files)
        found = check_batch(
            rows,
            pinned=pinned,
            rules=chosen,
            partition=partition,
            monitor=watched,
            progress=progress,
        )
    facts: dict[str, Any] = {}
    if watched is not None and not dry_run:
        facts["batch"] = keep(watched, found, pinned=pinned, rules=chosen)
    if watched is not None and policy is not None:
        action = follow(watched, policy, found.decision, pinned=pinned, record=not dry_run)
        facts |= {"action": action.action, "because": action.because, "reason": action.reason}
    if report is not None and not dry_run:
        title = f"Drift of {dataset.title}"
        against = f"against {found.decision.reference_title or reference or monitor}"
        page = report_html(
            found.decision, found.reference, found.current, title=title, subtitle=against
        )
        goal = place(context, report)
        goal.store.write(goal.key, page.encode())
        facts["report"] = report
    return print_decision(found.decision, facts, as_json=as_json)


@app.command()
@answering
def history(
    context: typer.Context,
    monitor: MonitorPlace,
    *,
    column: Annotated[str | None, typer.Option(help="Only this one, batch by batch.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show every column's effect from batch to batch, and what was decided."""
    from backbeat.drift.actions import ActionLog
    from backbeat.drift.lines import lines

    watched = monitor_at(context, monitor)
    with showing("batches") as progress:
        found = lines(watched, progress=progress)
    if column is not None:
        known_column(column, watched)
        chosen = found[column]
        if as_json:
            print_json([asdict(point) for point in chosen.points])
        else:
            _show_column(chosen)
    elif as_json:
        print_json({name: {**asdict(line), "alarms": line.alarms} for name, line in found.items()})
    else:
        _show_lines(watched.prefix, found)
        for entry in ActionLog(watched).entries():
            print_line(f"{entry.partition} started a retraining: {', '.join(entry.columns)}")


@app.command()
@answering
def mute(
    context: typer.Context,
    monitor: MonitorPlace,
    column: Annotated[str, typer.Argument(help="The column.")],
    *,
    until: Annotated[
        str,
        typer.Option(metavar="DAY", help="The last day; an earlier one than before ends a mute."),
    ],
    reason: Reason,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Raise no alarm about a column, up to and including the batch of a day.

    It is still measured, and its history goes on.
    """
    day = day_option(until, "--until")
    assert day is not None  # noqa: S101 - the option is required
    watched = monitor_at(context, monitor)
    known_column(column, watched)
    mark = None
    if not dry_run:
        mark = watched.mute(column, until=day, reason=reason, by=operating_system_user())
    said = f"{column} {'would be' if dry_run else 'is'} muted until {day}"
    facts = {"mark": mark, "column": column, "until": day, "dry_run": dry_run}
    say(facts, said, as_json=as_json)


@app.command()
@answering
def acknowledge(
    context: typer.Context,
    monitor: MonitorPlace,
    partition: Annotated[str, typer.Argument(help="The batch.")],
    *,
    reason: Reason,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Say that a batch is as it should be: from now on it belongs to what is ordinary."""
    watched = monitor_at(context, monitor)
    names = watched.partitions(watched.reference().edges_digest)
    if partition not in names:
        raise NotFound(
            f"{watched.prefix} has no batch {partition!r}",
            hint=near(partition, names) or "see `backbeat drift history`",
        )
    mark = None
    if not dry_run:
        mark = watched.acknowledge(partition, reason=reason, by=operating_system_user())
    said = f"{partition} {'would be' if dry_run else 'is'} acknowledged"
    say({"mark": mark, "partition": partition, "dry_run": dry_run}, said, as_json=as_json)


@app.command()
@answering
def backtest(
    context: typer.Context,
    monitor: MonitorPlace,
    *,
    rules: RulesFile,
    retrain: Annotated[
        str | None,
        typer.Option(metavar="FILE.json", help="Also count the retrainings of this policy."),
    ] = None,
    since: Annotated[
        str, typer.Option("--from", metavar="BATCH", help="The first batch that is shown.")
    ] = "",
    until: Annotated[str, typer.Option(metavar="BATCH", help="The last one.")] = "",
    as_json: AsJson = False,
) -> None:
    """Judge stored batches again by other rules; nothing is written, and no raw data is read."""
    from backbeat.drift.backtest import backtest as replay
    from backbeat.drift.backtest import retrainings

    chosen = rules_from(rules)
    policy = policy_from(retrain) if retrain else None
    watched = monitor_at(context, monitor)
    with showing("batches") as progress:
        found = replay(watched, chosen, since=since, until=until, progress=progress)
    changed = [day for day in found if day.changes]
    facts: dict[str, Any] = {
        "batches": len(found),
        "alarms_now": sum(day.now.alarm for day in found),
        "alarms_then": sum(day.then.alarm for day in found),
        "changed": len(changed),
    }
    if policy is not None:
        facts["retrainings_now"] = retrainings(found, policy, when="now")
        facts["retrainings_then"] = retrainings(found, policy, when="then")
    if as_json:
        print_json({**facts, "days": [asdict(day) for day in changed]})
        return
    print_line(
        f"{len(found)} batches: {facts['alarms_now']} alarms now, {facts['alarms_then']} by these "
        f"rules; {len(changed)} would change"
    )
    if policy is not None:
        now, then = len(facts["retrainings_now"]), len(facts["retrainings_then"])
        print_line(f"by this policy: {now} retrainings now, {then} by these rules")
    if changed:
        rows = [(day.partition, _sight(day.now), _sight(day.then)) for day in changed]
        print_table(["batch", "now", "by these rules"], rows, empty="")


def _bar(effects: Sequence[float | None], line: ColumnLine) -> str:
    """A character a batch, as high as its effect; a dot where it could not be measured."""
    top = max(line.highest or 0.0, line.band or 0.0) or 1.0
    return "".join(
        "·" if effect is None else _BARS[min(len(_BARS) - 1, int(effect / top * len(_BARS)))]
        for effect in effects
    )


def _sight(sight: Sight) -> str:
    columns = f" ({', '.join(sight.columns)})" if sight.columns else ""
    return f"{sight.verdict}{columns}"


def _show_lines(title: str, found: dict[str, ColumnLine]) -> None:
    batches = sorted({point.partition for line in found.values() for point in line.points})
    span = f", {batches[0]} to {batches[-1]}" if batches else ""
    print_line(f"{title}: {len(batches)} batches{span}")
    print_table(
        ["column", "effect", "newest", "highest", "ordinary to", "alarms", "latest alarm", "muted"],
        [
            (
                name,
                _bar([point.effect for point in line.points[-_SHOWN:]], line),
                number(line.points[-1].effect if line.points else None),
                number(line.highest),
                number(line.band),
                line.alarms,
                line.latest_alarm,
                line.muted_until and f"until {line.muted_until}",
            )
            for name, line in found.items()
        ],
        empty="it watches no columns",
    )


def _show_column(line: ColumnLine) -> None:
    rows = [
        (
            point.partition,
            number(point.effect),
            _bar([point.effect], line),
            point.verdict,
            ", ".join(point.checks),
            "acknowledged" if point.acknowledged else None,
        )
        for point in line.points
    ]
    columns = ["batch", "effect", "", "verdict", "checks", "marks"]
    print_table(columns, rows, empty="it has no batches yet")
