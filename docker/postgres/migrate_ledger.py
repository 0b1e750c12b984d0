# ruff: noqa: INP001 - a program of an image, not a package
"""Brings the ledger's schema forward and grants its roles: the one service with the owner's right.

The owner's address is in the environment: BACKBEAT_LEDGER.
"""

from __future__ import annotations

import os
import subprocess

import psycopg

__all__ = ["migrate_ledger"]


def migrate_ledger(address: str) -> None:
    """Run `backbeat ledger migrate`, then what `backbeat ledger roles` prints.

    Raises:
        CalledProcessError: The command refused; it has said why.
    """
    subprocess.run(["backbeat", "ledger", "migrate"], check=True)  # noqa: S607 - of this image
    printed = subprocess.run(
        ["backbeat", "ledger", "roles"],  # noqa: S607 - of this image
        check=True,
        capture_output=True,
    )
    # no psql here, and its arguments would show the password to every process
    with psycopg.connect(address) as connection:
        connection.execute(printed.stdout)


if __name__ == "__main__":
    migrate_ledger(os.environ["BACKBEAT_LEDGER"])
