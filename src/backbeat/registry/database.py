"""Opening an MLflow database: one process at a time, and quickly told when nobody answers.

MLflow creates and migrates its tables when a database is first opened, without a lock of its own:
two processes that start together would both migrate. It also tries for minutes to reach a
database server that is away.
"""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from backbeat.errors import Unreachable
from backbeat.registry.scope import without_credentials

__all__ = ["is_database", "opening", "sqlite_file"]

_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
# a first migration takes seconds; on a loaded machine, tens of them
_MIGRATION_SECONDS = 300.0


def sqlite_file(uri: str) -> Path | None:
    """The file behind a `sqlite:///` URI, None for any other URI and for a database in memory."""
    if not uri.startswith("sqlite:"):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database
    return Path(name).absolute() if name and name != ":memory:" else None


def is_database(uri: str) -> bool:
    """Whether MLflow would open this URI as a database of its own, without a server."""
    return uri.partition(":")[0].partition("+")[0] in {"sqlite", *_PORTS}


@contextmanager
def opening(uri: str, *, timeout_seconds: float) -> Iterator[None]:
    """Hold what is needed while MLflow opens a URI for the first time in this process.

    For SQLite that is an exclusive lock in a file beside the database, which the operating system
    drops when its holder dies; for a database server, the certainty that it takes connections.

    Raises:
        Unreachable: Nobody listens there, or another process migrates for minutes.
    """
    file = sqlite_file(uri)
    if file is not None:
        with _exclusive(file):
            yield
        return
    if is_database(uri):
        _probe(uri, timeout_seconds)
    yield


@contextmanager
def _exclusive(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_name(file.name + ".opening")
    with ExitStack() as stack:
        try:
            held = sqlite3.connect(lock, timeout=_MIGRATION_SECONDS, isolation_level=None)
            stack.enter_context(closing(held))
            held.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise Unreachable(
                f"The MLflow database {file} cannot be opened: {error} ({lock}).",
                hint="make its folder writable, or look for a process that migrates it for minutes",
            ) from error
        yield
        held.execute("ROLLBACK")


def _probe(uri: str, timeout_seconds: float) -> None:
    from sqlalchemy.engine import make_url

    url = make_url(uri)
    if url.host is None or url.host.startswith("/"):
        return
    port = url.port or _PORTS[url.get_backend_name()]
    try:
        socket.create_connection((url.host, port), timeout=timeout_seconds).close()
    except OSError as error:
        raise Unreachable(
            f"The MLflow database at {without_credentials(uri)} did not answer: {error}.",
            hint="check that it runs and that this host may reach it",
        ) from error
