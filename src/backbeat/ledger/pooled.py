"""What both databases keep alike: an engine of its own for every process, and reading from it."""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy.engine import Connection, Engine

__all__ = ["PooledDatabase"]

# a connection that crossed a fork is one conversation with two speakers: closing the parent's here
# would end it (SQLite's log, too) under its feet, so that it is kept from the garbage collector
_CROSSED_A_FORK: list[Engine] = []


class PooledDatabase(ABC):
    """Connections that the threads of a process share, and that no two processes do."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._pid = -1
        self._end: weakref.finalize[..., PooledDatabase] | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot that blocks nobody."""
        with self._translated(), self._open().connect() as connection:
            yield connection

    def close(self) -> None:
        """Give the connections back, as a process that ends does; the next use opens new ones."""
        if self._end is not None:
            self._end()
        self._engine = None

    def _open(self) -> Engine:
        if self._engine is None or self._pid != os.getpid():
            if self._end is not None:
                self._end()
            self._engine, self._pid = self._new_engine(), os.getpid()
            self._end = weakref.finalize(self, _end, self._engine, self._pid)
        return self._engine

    @abstractmethod
    def _new_engine(self) -> Engine:
        """An engine with the database's own settings, nothing opened yet."""

    @abstractmethod
    def _translated(self) -> AbstractContextManager[None]:
        """Errors of the driver become those of backbeat."""


def _end(engine: Engine, pid: int) -> None:
    if pid == os.getpid():
        engine.dispose()
    else:
        _CROSSED_A_FORK.append(engine)
