"""How the command speaks: one JSON document or text for people, and an exit code either way.

Evidence, reasons and error messages are other people's text. It is printed without markup, and
what a terminal would obey (control characters, direction overrides) is shown as its code instead.
"""

from __future__ import annotations

import json
import sys
import traceback
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from functools import wraps
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.table import Table

from backbeat.errors import BackbeatError, Refused, RetryableError
from backbeat.telemetry import redact

__all__ = [
    "AsJson",
    "ExitCode",
    "answering",
    "plain",
    "print_facts",
    "print_json",
    "print_line",
    "print_table",
]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
_PIPE_WIDTH = 200
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}

P = ParamSpec("P")


class ExitCode(IntEnum):
    """What a shell, a container or a cron job learns without reading the output."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    WAITING = 4
    RETRYABLE = 5
    FINAL = 6


def answering(command: Callable[P, ExitCode | None]) -> Callable[P, None]:
    """Turn a command's answer, or its error, into an exit code; errors go to stderr."""

    @wraps(command)
    def answer(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:  # noqa: BLE001 - a step's own code may raise anything
            code = _fail(error, as_json=bool(kwargs.get("as_json")))
        raise typer.Exit(int(code or ExitCode.OK))

    return answer


def plain(value: object) -> str:
    """A value as text that no terminal obeys: other people wrote it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char) not in _OBEYED
        else ascii(char).strip("'")
        for char in text
    )


def print_json(document: Any) -> None:
    """The one JSON document of a `--json` answer."""
    print(json.dumps(document, indent=2, default=str))


def print_line(text: str, *, error: bool = False) -> None:
    """A line for people."""
    _console(error=error).print(plain(text), soft_wrap=True)


def print_facts(facts: Mapping[str, Any], *, title: str = "") -> None:
    """Names and values, one a line; nested values as indented JSON."""
    table = Table(show_header=False, box=None, title=plain(title) or None, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        nested = isinstance(value, (dict, list)) and value
        text = json.dumps(value, indent=2, ensure_ascii=False, default=str) if nested else value
        table.add_row(plain(name), "" if text in (None, [], {}) else plain(text))
    _console().print(table)


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]], *, empty: str) -> None:
    """A table for people, or one sentence where it has no rows."""
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", header_style="bold")
    for row in rows:
        table.add_row(*("" if cell is None else plain(cell) for cell in row))
    if table.row_count:
        _console().print(table)
    else:
        print_line(empty)


def _console(*, error: bool = False) -> Console:
    stream = sys.stderr if error else sys.stdout
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else _PIPE_WIDTH,
    )


def _fail(error: Exception, *, as_json: bool) -> ExitCode:
    known = isinstance(error, BackbeatError)
    described: dict[str, Any] = (
        error.as_json()
        if isinstance(error, BackbeatError)
        else {
            "error": type(error).__name__,
            "message": str(error),
            "hint": "this is not an error that backbeat expects; the trace below says where it is",
            "retryable": True,
            "retry_after": None,
        }
    )
    described["message"] = redact(described["message"])
    if as_json:
        print(json.dumps(described), file=sys.stderr)
    else:
        print_line(f"{described['error']}: {described['message']}", error=True)
        if described["hint"]:
            print_line(f"  hint: {described['hint']}", error=True)
        print_line(f"  {_retry_sentence(described)}", error=True)
        if not known:
            print_line(redact("".join(traceback.format_exception(error))), error=True)
    if isinstance(error, Refused):
        return ExitCode.REFUSED
    retryable = isinstance(error, RetryableError) or not known
    return ExitCode.RETRYABLE if retryable else ExitCode.FINAL


def _retry_sentence(described: Mapping[str, Any]) -> str:
    if not described["retryable"]:
        return "a retry will not help"
    after = described["retry_after"]
    return "a retry can help" if after is None else f"a retry can help after {after:.0f} s"
