"""The services that the other tests stand on: closed to others, and back after a kill."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from flights import services

pytestmark = pytest.mark.timeout(300)


def test_a_killed_database_comes_back_with_what_was_committed(
    parts: Any, postgres: services.Postgres
) -> None:
    """SIGKILL of the postmaster with clients at work costs their transactions, and no others."""
    url = postgres.create("killed")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (value integer)")
        connection.execute("INSERT INTO kept VALUES (1)")
        connection.commit()
        connection.execute("INSERT INTO kept VALUES (2)")
        parts.kill("postgres")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("INSERT INTO kept VALUES (3)")
    parts.restart("postgres")
    parts.wait_until(postgres.answers, "postgres", seconds=60)

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT value FROM kept").fetchall() == [(1,)]


def test_the_database_wants_its_password(postgres: services.Postgres) -> None:
    """A process of another user, who cannot read the password's file, does not get in."""
    without = postgres.url("postgres").partition("?")[0]
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"{without}?passfile=/dev/null")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(without, password="a guess")  # noqa: S106 - a wrong one
    assert postgres.passfile.stat().st_mode & 0o077 == 0


def test_an_address_holds_no_password(postgres: services.Postgres) -> None:
    """What a process list, a log or an error may show does not open the database."""
    password = postgres.passfile.read_text().strip().rpartition(":")[2]
    assert len(password) == 64
    assert password not in postgres.url("postgres")


def test_nothing_listens_beyond_this_machine(
    parts: Any, postgres: services.Postgres, bucket: str, broker: str, listening: Any
) -> None:
    """PostgreSQL and S3 listen on the loopback address, Redis on no address at all."""
    assert set(listening(parts)) == {"postgres", "redis", "s3"}
    assert listening(parts)["redis"] == set()
    assert set().union(*listening(parts).values()) == {"127.0.0.1"}
