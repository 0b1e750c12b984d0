"""`profile`: what data looks like, small enough to keep for ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from backbeat.cli.backfill import backfill
from backbeat.cli.monitors import print_decision, reference_profile, say
from backbeat.cli.output import (
    AsJson,
    ExitCode,
    answering,
    print_facts,
    print_json,
    print_table,
)
from backbeat.cli.places import DataPlace, day_option, home, place, read_profile, table
from backbeat.cli.progress import showing
from backbeat.cli.session import Session
from backbeat.errors import InvalidData

if TYPE_CHECKING:
    from backbeat.platform import Platform

__all__ = ["app"]

Kind = Literal["text", "embedding", "category", "number"]
_KINDS = ("text", "embedding", "category", "number")

app = typer.Typer(
    no_args_is_help=True,
    help="Build, merge, read and compare profiles of data. See docs/drift.md.",
)

ProfilePlace = Annotated[str, typer.Argument(metavar="PROFILE", help="Its key, path or URI.")]
Output = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="KEY", help="Where it goes: a key of the store, or a path (./…)."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done; scan and write nothing.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--columns", metavar="A,B", help="Which columns. Default: all."),
]
By = Annotated[
    list[str] | None,
    typer.Option(metavar="A,B", help="Columns whose values make segments, in the same pass."),
]
KindOf = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="COLUMN=KIND",
        help="How a column is read where its type does not say: text, embedding, category, number.",
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option(
        metavar="Y=X1,X2", help="Watch a column also given those that explain it. Repeat for more."
    ),
]
EdgesFrom = Annotated[
    str | None,
    typer.Option(metavar="PROFILE", help="Count on this profile's edges, so that they compare."),
]


@app.command()
@answering
def build(
    context: typer.Context,
    data: DataPlace,
    *,
    output: Output,
    columns: Columns = None,
    by: By = None,
    kind: KindOf = None,
    given: Given = None,
    edges_from: EdgesFrom = None,
    bins: Annotated[int, typer.Option(min=10, max=10_000, help="Bins of a number.")] = 1000,
    partition: Annotated[str, typer.Option(help="The batch's name, such as its day.")] = "",
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="The last day, where DATA has {day}.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="How many days, where DATA has {day}.")] = 1,
    model: Annotated[
        str | None,
        typer.Option(metavar="URI", help="models:/<name>/<version> that was made from this data."),
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Count a table, and keep the counts."""
    from backbeat.data import open_dataset
    from backbeat.drift import build_profile

    window = {"until": day_option(until, "--until"), "days": days}
    dataset, files = table(context, data, **window)
    read_as, conditions = _kinds(kind), _conditions(given)
    goal = place(context, output)
    version = _platform(context).registry.resolve(model) if model else None
    rows = open_dataset(home(context), files)
    chosen = _listed(columns)
    facts: dict[str, Any] = {"profile": output, "files": len(files)}
    if dry_run:
        facts |= {"columns": len(chosen or rows.schema.names), "dry_run": True}
        say(facts, f"{dataset.title} would be profiled to {output}", as_json=as_json)
        return
    with showing("rows") as progress:
        profile = build_profile(
            rows,
            columns=chosen,
            edges_from=reference_profile(context, edges_from) if edges_from else None,
            bins=bins,
            kinds=read_as,
            given=conditions,
            by=_listed(by) or (),
            model=version.uri if version else None,
            partition=partition or _span(dataset.days_covered()),
            progress=progress,
        )
    if not profile.rows:
        raise InvalidData(f"{dataset.title} has no rows", hint="check that the data has landed")
    goal.store.write(goal.key, profile.to_bytes())
    if version is not None:
        tags = {"backbeat.profile": goal.key}
        _platform(context).registry.tag_version(version.name, version.version, tags)
        facts["model"] = version.uri
    facts |= {"rows": profile.rows, "columns": len(profile.columns)}
    said = f"{output}: {profile.rows} rows, {len(profile.columns)} columns"
    say(facts, said, as_json=as_json)


@app.command()
@answering
def merge(
    context: typer.Context,
    profiles: Annotated[list[str], typer.Argument(metavar="PROFILE…", help="Two or more.")],
    *,
    output: Output,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Add profiles on the same edges: the profile of all their rows."""
    from backbeat.drift.history import spanning

    if len(profiles) < 2:  # noqa: PLR2004 - one has nothing to be merged with
        raise typer.BadParameter("give at least two profiles")
    found = [read_profile(context, name) for name in profiles]
    together = spanning(found)
    facts = {"profile": output, "rows": together.rows, "merged": len(found), "dry_run": dry_run}
    if not dry_run:
        goal = place(context, output)
        goal.store.write(goal.key, together.to_bytes())
    said = f"{output} {'would be' if dry_run else 'is'} {len(found)} profiles: {together.rows} rows"
    say(facts, said, as_json=as_json)


@app.command()
@answering
def show(context: typer.Context, profile: ProfilePlace, *, as_json: AsJson = False) -> None:
    """Show what was counted: rows, columns, missing values, ranges, segments."""
    found = read_profile(context, profile)
    columns = [_described(name, column) for name, column in found.columns.items()]
    facts = {
        "rows": found.rows,
        "partition": found.partition,
        "model": found.model,
        "edges": found.edges_digest,
        "segments": list(found.segments),
    }
    if as_json:
        print_json({**facts, "columns": columns})
        return
    print_facts({name: value for name, value in facts.items() if value})
    print_table(
        ["column", "family", "present", "missing", "from", "to", "mean", "bins"],
        [_as_text(column) for column in columns],
        empty="it has no columns",
    )


@app.command()
@answering
def diff(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="A", help="The reference's profile.")],
    current: Annotated[str, typer.Argument(metavar="B", help="Built with --edges-from A.")],
    *,
    as_json: AsJson = False,
) -> ExitCode:
    """Compare two profiles, without a history; exit code 1 where B drifted from A or is broken."""
    from backbeat.drift import decide

    decision = decide(read_profile(context, reference), read_profile(context, current))
    return print_decision(decision, as_json=as_json)


app.command()(backfill)


def _described(name: str, column: Any) -> dict[str, Any]:
    numeric = hasattr(column, "edges")
    return {
        "column": name,
        "family": column.family,
        "present": column.present,
        "missing": column.missing,
        "from": column.minimum if numeric else None,
        "to": column.maximum if numeric else None,
        "mean": column.mean if numeric else None,
        "bins": len(column.edges) if numeric else len(column.counts),
    }


def _as_text(column: dict[str, Any]) -> tuple[object, ...]:
    from backbeat.drift._units import written

    shown = {
        name: value if value is None else written(column["family"], value)
        for name, value in column.items()
        if name in {"from", "to", "mean"}
    }
    return tuple({**column, **shown}.values())


def _platform(context: typer.Context) -> Platform:
    session: Session = context.obj
    return session.platform()


def _listed(names: Sequence[str] | None) -> tuple[str, ...] | None:
    found = tuple(part for text in names or () for part in text.split(",") if part)
    return found or None


def _pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for text in texts or ():
        name, sign, value = text.rpartition("=")
        if not (name and sign and value):
            raise typer.BadParameter(f"{option} takes COLUMN=VALUE, not {text!r}")
        pairs[name] = value
    return pairs


def _kinds(texts: Sequence[str] | None) -> dict[str, Kind] | None:
    pairs = _pairs(texts, "--kind")
    for name, kind in pairs.items():
        if kind not in _KINDS:
            raise typer.BadParameter(f"--kind {name}={kind}: there are {', '.join(_KINDS)}")
    return cast("dict[str, Kind]", pairs) or None


def _conditions(texts: Sequence[str] | None) -> dict[str, tuple[str, ...]] | None:
    pairs = _pairs(texts, "--given")
    return {name: tuple(value.split(",")) for name, value in pairs.items()} or None


def _span(days: Sequence[date]) -> str:
    names = [day.isoformat() for day in days]
    return "" if not names else names[0] if len(names) == 1 else f"{names[0]}/{names[-1]}"
