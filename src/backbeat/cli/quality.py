"""`quality`: does a table keep its expectations, today and from batch to batch?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from backbeat.cli.monitors import near
from backbeat.cli.output import AsJson, ExitCode, answering, print_json, print_line, print_table
from backbeat.cli.places import DataPlace, day_option, home, place, table
from backbeat.cli.progress import showing
from backbeat.errors import InvalidStep, NotFound

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Check a table against a Great Expectations suite, and look back. See docs/quality.md.",
)

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 60
_ALL = 100.0


@app.command()
@answering
def check(
    context: typer.Context,
    data: DataPlace,
    *,
    suite: Annotated[str, typer.Option(metavar="FILE.json", help="A suite's JSON.")],
    monitor: Annotated[
        str | None, typer.Option(metavar="MONITOR", help="Keep the result beside its profiles.")
    ] = None,
    partition: Annotated[
        str, typer.Option(help="The batch's name, such as its day; with --monitor.")
    ] = "",
    report: Annotated[
        str | None, typer.Option(metavar="FILE.html", help="Write the HTML report there.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and write nothing.")] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Check a table; exit code 1 where an expectation does not hold.

    {day} in DATA stands for the partition.
    """
    from backbeat.data import open_dataset
    from backbeat.quality import check_table, report_html
    from backbeat.quality.history import QualityHistory

    if monitor is not None and not partition:
        raise typer.BadParameter("--monitor needs --partition: the batch's name, such as its day")
    chosen = _suite(suite)
    window = {"until": day_option(partition, "--partition")} if "{day}" in data else {}
    dataset, files = table(context, data, **window)
    result = check_table(open_dataset(home(context), files), chosen)
    facts: dict[str, Any] = {}
    if monitor is not None and not dry_run:
        found = place(context, monitor)
        facts["batch"] = QualityHistory(found.store, found.key).keep(partition, result)
    if report is not None and not dry_run:
        goal = place(context, report)
        page = report_html(result, title=f"Quality of {dataset.title}")
        goal.store.write(goal.key, page.encode())
        facts["report"] = report
    if as_json:
        print_json({**facts, **result.model_dump(mode="json")})
    else:
        print_line(result.summary)
        rows = [
            ("holds" if item.success else "FAILS", item.description, item.detail)
            for item in sorted(result.results, key=lambda item: item.success)
        ]
        print_table(["", "expectation", "found"], rows, empty="the suite expects nothing")
        for name, value in facts.items():
            print_line(f"{name}: {value}")
    return ExitCode.OK if result.success else ExitCode.FAILED


@app.command()
@answering
def history(
    context: typer.Context,
    monitor: Annotated[
        str, typer.Argument(metavar="MONITOR", help="The monitor's prefix, or its folder.")
    ],
    *,
    expectation: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Only expectations of this type.")
    ] = None,
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only expectations of this column.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how often each expectation failed, and the percent that broke it batch by batch."""
    from backbeat.quality.history import QualityHistory, expectation_lines

    found = place(context, monitor)
    history_of = QualityHistory(found.store, found.key)
    with showing("batches") as progress:
        kept = history_of.results(progress=progress)
    if not kept:
        raise NotFound(
            f"{monitor} has no results of a quality check",
            hint="give `--monitor` and `--partition` to `backbeat quality check`",
        )
    lines = expectation_lines(kept)
    if expectation is not None:
        _known(expectation, {line.type for line in lines}, f"{monitor} was never held against")
        lines = [line for line in lines if line.type == expectation]
    if column is not None:
        names = {line.column for line in lines if line.column}
        _known(column, names, f"{monitor} expects nothing of a column")
        lines = [line for line in lines if line.column == column]
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    print_line(f"{monitor}: {len(kept)} batches, {kept[0].partition} to {kept[-1].partition}")
    rows = [
        (
            line.description,
            f"{line.failures} of {line.batches}",
            line.latest_failure,
            _bar(line.unexpected[-_SHOWN:]),
        )
        for line in lines
    ]
    print_table(["expectation", "failed", "latest", "unexpected"], rows, empty="")


def _known(name: str, names: set[str], refusal: str) -> None:
    if name not in names:
        known = ", ".join(sorted(names)) or "none"
        raise NotFound(f"{refusal} {name!r}", hint=near(name, names) or f"there are {known}")


def _suite(name: str) -> Any:
    from pydantic import ValidationError

    from backbeat.quality.suite import Suite

    try:
        return Suite.model_validate(json.loads(Path(name).read_text(encoding="utf-8")))
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidStep(
            f"{name} holds no suite: {field}: {first['msg']}",
            hint='write {"name": "...", "expectations": [{"type": "...", "kwargs": {...}}]}',
        ) from error
    except ValueError as error:
        raise InvalidStep(f"{name} is not JSON: {error}", hint="write a suite's JSON") from error


def _bar(percents: tuple[float | None, ...]) -> str:
    """A character a batch: a dot for a batch without a number, `_` where none was unexpected."""
    return "".join(
        "·"
        if percent is None
        else _BARS[min(len(_BARS) - 1, int(percent / _ALL * len(_BARS)))]
        if percent
        else "_"
        for percent in percents
    )
