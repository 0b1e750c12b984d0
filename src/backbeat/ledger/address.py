"""Where a ledger is: a file, a PostgreSQL database, or a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backbeat.errors import UnmetNeed

if TYPE_CHECKING:
    from backbeat.ledger.database import Database
    from backbeat.ports import Ledger

__all__ = ["open_database", "open_ledger"]

_FILE = {"", "sqlite"}
_POSTGRES = {"postgresql", "postgres"}


def open_ledger(address: Path | str, *, token: str | None = None) -> Ledger:
    """Open the ledger at an address.

    Args:
        address: A SQLite file, `postgresql://user:password@host/database`, or `https://host`.
        token: For `https://`: the token, or the path of a file with it.

    Raises:
        UnmetNeed: No kind of ledger has such an address.
        LedgerIncompatible: Its schema is foreign, newer, or not made yet (PostgreSQL).
        Unreachable: It does not answer; a retry can help.
    """
    scheme = _scheme(address)
    if scheme in _POSTGRES:
        from backbeat.ledger.postgres import PostgresLedger

        return PostgresLedger(str(address))
    if scheme in {"https", "http"}:
        from backbeat.ledger.remote import RemoteLedger

        return RemoteLedger(str(address), token=token)
    if scheme in _FILE:
        from backbeat.ledger.sqlite import SqliteLedger

        return SqliteLedger(_file(address))
    raise _none_there(scheme)


def open_database(address: Path | str) -> Database:
    """Open the database at an address, whatever schema it has; nothing is made or read yet.

    Args:
        address: A SQLite file, or `postgresql://user:password@host/database`.

    Raises:
        UnmetNeed: No database has such an address.
        LedgerIncompatible: The file is on a network disk, or the URL is none.
    """
    scheme = _scheme(address)
    if scheme in _POSTGRES:
        from backbeat.ledger.postgres_database import PostgresDatabase

        return PostgresDatabase(str(address))
    if scheme in _FILE:
        from backbeat.ledger.sqlite_database import SqliteDatabase

        return SqliteDatabase(Path(_file(address)).expanduser().resolve())
    raise _none_there(scheme)


def _scheme(address: Path | str) -> str:
    return urlsplit(str(address)).scheme if "://" in str(address) else ""


def _file(address: Path | str) -> str:
    return str(address).removeprefix("sqlite:///")


def _none_there(scheme: str) -> UnmetNeed:
    return UnmetNeed(
        f"there is no ledger at {scheme}://",
        hint="give a file, postgresql://… or https://…",
    )
