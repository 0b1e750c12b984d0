"""How far long work is: a bar in front of a person, a line per tenth in a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backbeat.cli.output import plain, print_line

__all__ = ["showing"]

_TENTHS = 10


@contextmanager
def showing(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how far the work of a block is, on stderr.

    Args:
        what: What is counted, such as `rows` or `days`.

    Yields:
        What to call with how much is done, and of how much where that is known.
    """
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(plain(what), total=None)

        def advance(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


def _lines(what: str) -> Callable[[int, int | None], None]:
    said = 0

    def advance(done: int, total: int | None) -> None:
        nonlocal said
        tenth = _TENTHS * done // total if total else 0
        if tenth > said:
            said = tenth
            print_line(f"{tenth * 10}%: {done} of {total} {what}", error=True)

    return advance
