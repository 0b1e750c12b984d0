"""`contract`: what a table promises, whether it keeps it, and what a new version changes."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backbeat.cli.output import AsJson, ExitCode, answering, print_json, print_line, print_table
from backbeat.errors import InvalidData, NotFound

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Compare, check and begin contracts.")

DataPlace = Annotated[
    str, typer.Argument(metavar="DATA", help="A Parquet or CSV file, or a folder; path or URI.")
]


@app.command()
@answering
def diff(
    old: Annotated[str, typer.Argument(help="A data contract, or the JSON Schema of a step.")],
    new: Annotated[str, typer.Argument(help="The later version of the same document.")],
    *,
    as_json: AsJson = False,
) -> ExitCode:
    """Say what a new version breaks; exit code 1 where it breaks anything."""
    from backbeat.contract import compare

    change = compare(_document(old), _document(new))
    if as_json:
        print_json(change.model_dump(mode="json"))
    else:
        print_line(change.level)
        if change.differences:
            rows = [(item.level, item.where, item.words) for item in change.differences]
            print_table(["level", "where", "what"], rows, empty="")
        if change.version_problem:
            print_line(f"version: {change.version_problem}")
    return ExitCode.FAILED if change.level == "breaking" else ExitCode.OK


@app.command()
@answering
def check(
    contract: Annotated[str, typer.Argument(help="The contract's JSON file; path or URI.")],
    data: DataPlace,
    *,
    as_json: AsJson = False,
) -> ExitCode:
    """Hold data against its contract; exit code 1 where it is broken."""
    from backbeat.contract import check as held_against
    from backbeat.contract import contract_from_json

    checked = held_against(contract_from_json(_document(contract), what=contract), _opened(data))
    if as_json:
        print_json({"ok": checked.ok, **checked.model_dump(mode="json")})
    else:
        print_line(
            f"{checked.contract}: {'kept' if checked.ok else 'broken'} ({checked.rows} rows)"
        )
        if checked.findings:
            print_table(
                ["column", "promised", "found", "example"],
                [(item.column, item.wanted, item.found, item.example) for item in checked.findings],
                empty="",
            )
    return ExitCode.OK if checked.ok else ExitCode.FAILED


@app.command()
@answering
def infer(
    data: DataPlace,
    *,
    name: Annotated[
        str | None, typer.Option(help="What it is about. Default: the file's name.")
    ] = None,
) -> None:
    """Print a contract that the data's schema keeps, to be tightened by a person."""
    from backbeat.contract import contract_of

    title = name or Path(data.rstrip("/")).stem or "data"
    print_json(contract_of(_opened(data), name=title).to_json())


def _document(name: str) -> dict[str, Any]:
    from backbeat.contract.stored import read_document
    from backbeat.data import open_store

    uri = _uri(name)
    try:
        document = json.loads(read_document(open_store(Path.cwd()), uri))
    except (ValueError, RecursionError) as error:
        raise InvalidData(
            f"{name} is not JSON: {error}",
            hint="give a contract, or a schema as `backbeat schema KIND` prints it",
        ) from error
    if not isinstance(document, dict):
        raise InvalidData(
            f"{name} holds a JSON {type(document).__name__}, and a contract is an object",
            hint='write {"name": "...", "version": "1.0.0", "columns": [...]}',
        )
    return document


def _opened(name: str) -> ds.Dataset:
    from backbeat.data import open_dataset, open_store, references
    from backbeat.reference import Dataset

    if "{day}" in name:
        raise typer.BadParameter("give one file or folder; {day} is for the windows of steps")
    store = open_store(Path.cwd())
    return open_dataset(store, references(store, Dataset(uri=_uri(name))))


def _uri(name: str) -> str:
    """What was typed as a URI, or as the absolute path of something that is there."""
    if "://" in name:
        return name
    path = Path(name).absolute()
    if not path.exists():
        beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, beside, n=1)
        raise NotFound(
            f"there is no {name}",
            hint=f"did you mean {path.parent / near[0]}?" if near else f"look in {path.parent}",
        )
    return str(path)
