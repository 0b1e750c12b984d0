"""The connection to PostgreSQL: short transactions, its clock, its errors in our words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import create_engine, event, exc, text
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.engine.url import URL
from sqlalchemy.pool import QueuePool

from backbeat.errors import BackbeatError, LedgerIncompatible, Refused, StorageFull, Unreachable
from backbeat.ledger.batch import Statements, combined
from backbeat.ledger.pooled import PooledDatabase

__all__ = ["POOL_SIZE", "PostgresDatabase"]

POOL_SIZE = 6
_CHANNEL = "backbeat"
_SETTINGS = (
    # a worker that hangs must not hold rows for ever, nor wait for ever for those of another
    "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
)
_CLOCK_SECONDS = 60.0  # between two looks at the server's clock
_IDLE_SECONDS = 5.0  # after which a pooled connection is tried before it is trusted
_READ_ONLY = "25006"
_CANCELED = ("57014", "55P03", "40P01", "40001")  # time-outs, deadlock, serialization
_NO_ROOM = ("53100", "53200", "53400")
_DENIED = "42501"
_NO_TABLE = ("42P01", "42703", "3F000")


class PostgresDatabase(PooledDatabase):
    """One PostgreSQL database, shared by the threads of a process and safe across forks.

    Args:
        url: `postgresql://user:password@host:port/database`.

    Raises:
        LedgerIncompatible: The URL is none.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = _driver_url(url)
        # the server's clock at a moment of ours that no setting of a clock moves
        self._clock: tuple[datetime, float] | None = None

    @property
    def name(self) -> str:
        """The address without user and password."""
        url = self._url
        host = url.host or url.query.get("host", "localhost")
        return f"postgresql://{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"

    def now(self) -> datetime:
        """The server's clock: hosts may disagree about the time, and a host's clock may jump."""
        if self._clock is None or time.monotonic() - self._clock[1] > _CLOCK_SECONDS:
            with self.read() as view:
                moment = view.execute(text("SELECT clock_timestamp()")).scalar()
            self._clock = (moment, time.monotonic())
        moment, since = self._clock
        return moment + timedelta(seconds=time.monotonic() - since)

    def batch(self, statements: Statements) -> bool:
        """Perform the first statement, and where it changed a row the others, in one commit."""
        import psycopg

        engine = self._open()
        text, values = combined(engine.dialect, statements)
        with self._translated(), closing(engine.raw_connection()) as connection:
            row = psycopg.RawCursor(connection.driver_connection).execute(text, values).fetchone()
            return bool(row[0])

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A short transaction; rows are locked as they are touched."""
        with self._translated(), self._open().connect() as connection, connection.begin():
            yield connection

    def announce(self, tx: Connection) -> None:
        """Wake whoever watches, once this transaction has committed."""
        tx.execute(text(f"NOTIFY {_CHANNEL}"))

    def watch(self, *, seconds: float) -> bool:
        """Wait until a stream has changed, at most so long; False where time was up."""
        import psycopg

        with self._translated():
            address = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
                connection.execute(f"LISTEN {_CHANNEL}")
                for _ in connection.notifies(timeout=seconds, stop_after=1):
                    return True
        return False

    def _new_engine(self) -> Engine:
        return _engine(self._url)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except (exc.DBAPIError, psycopg.Error) as error:
            cause = error.orig if isinstance(error, exc.DBAPIError) else error
            raise self._as_ours(cause) or error from error
        except exc.TimeoutError as error:
            raise Unreachable(
                f"this process has no connection to the ledger at {self.name} to spare",
                hint="run fewer steps at a time in one process",
                retry_after=1,
            ) from error

    def _as_ours(self, cause: Any) -> BackbeatError | None:
        import psycopg

        state = getattr(cause, "sqlstate", None) or ""
        # libpq's own sentences name host and user, never the password
        reason = str(cause).strip().partition("\n")[0]
        if state == _DENIED:
            return Refused(
                f"the ledger's database refuses: {reason}",
                hint="give this role the rights that `backbeat ledger roles` prints",
            )
        if state in _NO_TABLE:
            return LedgerIncompatible(
                f"the ledger's schema is not there: {reason}", hint="run `backbeat ledger migrate`"
            )
        if state in _NO_ROOM:
            return StorageFull(
                f"the ledger's database has no room: {reason}",
                hint="free space on, or enlarge, the disk of the database",
            )
        if state == _READ_ONLY or state in _CANCELED or isinstance(cause, _disconnects(psycopg)):
            return Unreachable(
                f"the ledger at {self.name} did not take this: {reason}",
                hint="see whether the database is up, takes writes (a standby does not), and knows "
                "this role and password",
                retry_after=1,
            )
        return None


def _disconnects(psycopg: Any) -> tuple[type[Exception], ...]:
    return (psycopg.OperationalError, psycopg.InterfaceError)


def _driver_url(url: str) -> URL:
    from backbeat.ledger.psycopg_dialect import DRIVER

    try:
        return make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername=DRIVER)
    except (exc.ArgumentError, ValueError) as error:
        raise LedgerIncompatible(
            "the ledger's address is no PostgreSQL URL",
            hint="write postgresql://user:password@host:5432/database",
        ) from error


def _engine(url: URL) -> Engine:
    # what the URL asks for comes after ours, and wins
    options = f"{_SETTINGS} {url.query.get('options', '')}".strip()
    engine = create_engine(
        url,
        future=True,
        poolclass=QueuePool,
        pool_reset_on_return=None,  # see `_reset`
        pool_size=POOL_SIZE,  # opened as they are needed: most workers keep one or two
        max_overflow=2,
        pool_use_lifo=True,
        pool_recycle=1800,
        connect_args={
            "connect_timeout": 10,
            "application_name": "backbeat",
            "options": options,
        },
    )

    @event.listens_for(engine, "connect")  # type: ignore[untyped-decorator]
    def _opened(connection: Any, _record: Any) -> None:
        connection.autocommit = True  # a statement that stands alone needs no BEGIN and no COMMIT

    @event.listens_for(engine, "begin")  # type: ignore[untyped-decorator]
    def _begin(connection: Connection) -> None:
        connection.connection.dbapi_connection.execute("BEGIN", prepare=False)

    @event.listens_for(engine, "reset")  # type: ignore[untyped-decorator]
    def _reset(connection: Any, record: Any) -> None:
        if connection.closed:  # the server went: there is nothing to roll back, nor to complain of
            record.invalidate()
        else:
            connection.rollback()

    @event.listens_for(engine, "checkin")  # type: ignore[untyped-decorator]
    def _returned(_connection: Any, record: Any) -> None:
        record.info["returned"] = time.monotonic()

    @event.listens_for(engine, "checkout")  # type: ignore[untyped-decorator]
    def _taken(connection: Any, record: Any, _proxy: Any) -> None:
        idle = time.monotonic() - record.info.get("returned", time.monotonic())
        if idle < _IDLE_SECONDS:
            return  # trying it each time would cost a round trip of every step
        try:
            connection.execute("SELECT 1")
        except Exception as error:
            raise exc.DisconnectionError("the server has gone since") from error

    return engine
