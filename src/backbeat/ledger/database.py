"""What the ledger's parts need of a database: transactions, and one clock for all workers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from sqlalchemy.engine import Connection

from backbeat.ledger.batch import Statements

__all__ = ["Database"]


class Database(Protocol):
    """One database, shared by the threads of a process and safe across forks."""

    @property
    def name(self) -> str:
        """The address for people: no password in it."""

    def now(self) -> datetime:
        """This moment, UTC, by the clock that decides about leases."""

    def batch(self, statements: Statements) -> bool:
        """Perform the first statement, and where it changed a row the others, in one commit.

        Returns False where the first changed nothing; then nothing was written.
        """

    def write(self) -> AbstractContextManager[Connection]:
        """A short transaction that writes."""

    def read(self) -> AbstractContextManager[Connection]:
        """A snapshot that blocks nobody."""

    def announce(self, tx: Connection) -> None:
        """Tell whoever watches that a stream changes with this transaction."""

    def watch(self, *, seconds: float) -> bool:
        """Wait until a stream may have changed, at most so long; False where time was up."""

    def close(self) -> None:
        """Give the connections back."""
