from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from backbeat import embedded, run_step
from backbeat.cli.main import app
from backbeat.ledger.migrations import SCHEMA_VERSION
from backbeat.steps import Signoff

Make = Callable[..., Any]
PASSWORD = "s3cret-pw"  # noqa: S105 - the server asks for none
FINISH = "UPDATE backbeat_runs SET state = 'done', finished_at = '2000-01-01T00:00:00.000000Z'"
# what version 2 has added; undone, the schema is that of version 1
DOWNGRADE = (
    "ALTER TABLE backbeat_runs DROP COLUMN nonce",
    "ALTER TABLE backbeat_runs DROP COLUMN lease_seconds",
    "ALTER TABLE backbeat_streams DROP COLUMN taken_until",
    "ALTER TABLE backbeat_locks DROP COLUMN seconds",
    "DROP INDEX backbeat_streams_by_time",
    "DROP TABLE backbeat_budgets",
    "DROP TABLE backbeat_tokens",
    "UPDATE backbeat_meta SET value = '1' WHERE name = 'schema_version'",
)
WITH_A_LEDGER = ["migrate", "backup", "restore", "prune", "doctor"]


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database."""
    return str(request.param)


@pytest.fixture
def address(kind: str, new_database: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the environment says that the ledger is: no such folder, or an empty database."""
    found = str(tmp_path / "somewhere" / "ledger.db")
    if kind == "postgres":
        url = str(new_database(template="template0"))
        found = url.replace("postgres:@", f"postgres:{PASSWORD}@")
    monkeypatch.setenv("BACKBEAT_LEDGER", found)
    return found


def _sql(address: str, *queries: str) -> list[tuple[Any, ...]]:
    connection: Any = psycopg.connect(address) if "://" in address else sqlite3.connect(address)
    with closing(connection):
        for query in queries:
            cursor = connection.execute(query)
        found = cursor.fetchall() if cursor.description else []
        connection.commit()
    return found


def _dump(address: str) -> dict[str, list[str]]:
    if "://" not in address:
        with closing(sqlite3.connect(address)) as connection:
            return {"": list(connection.iterdump())}
    names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    return {
        name: sorted(map(str, _sql(address, f"SELECT * FROM {name}")))  # noqa: S608
        for (name,) in _sql(address, names)
    }


@pytest.fixture
def filled(backbeat: Make, address: str, folder: Path, attempt: Make) -> str:
    """A ledger with a step that waits for people, and its message that waits too; its address."""
    assert backbeat("ledger", "migrate").code == 0
    platform = embedded(folder, ledger=address, registry=False)
    platform.sinks = {}
    with closing(platform.ledger):  # type: ignore[type-var]
        run_step(Signoff(subject="Ship it?"), attempt(), platform)
    return address


def test_migrate_makes_a_ledger_once(backbeat: Make, address: str) -> None:
    """The first call makes the schema and says so, the second finds it there."""
    first = backbeat("ledger", "migrate", "--json")
    assert (first.code, first.json["before"], first.json["after"]) == (0, 0, SCHEMA_VERSION)
    before = _dump(address)
    again = backbeat("ledger", "migrate")
    assert again.code == 0
    assert again.out.strip().endswith(f"has schema {SCHEMA_VERSION} already: nothing to do")
    assert _dump(address) == before


def test_migrate_brings_an_older_ledger_forward(backbeat: Make, filled: str) -> None:
    """Schema 1 becomes this version's, what it holds stays, and `--dry-run` only says so."""
    _sql(filled, *DOWNGRADE)
    before = _dump(filled)
    said = backbeat("ledger", "migrate", "--dry-run")
    assert (said.code, _dump(filled)) == (0, before)
    assert f"would be brought from schema 1 to {SCHEMA_VERSION}" in said.out
    said = backbeat("ledger", "migrate")
    assert f"was brought from schema 1 to {SCHEMA_VERSION}" in said.out
    assert backbeat("ledger", "doctor").code == 0
    assert len(backbeat("runs", "list", "--json").json) == 1


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("address")
def test_a_dry_run_makes_no_file(backbeat: Make, tmp_path: Path) -> None:
    """Neither a ledger nor its folder appears."""
    said = backbeat("ledger", "migrate", "--dry-run", "--json")
    assert (said.code, said.json["dry_run"]) == (0, True)
    assert (said.json["before"], said.json["after"]) == (0, SCHEMA_VERSION)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_a_dry_run_makes_no_table(backbeat: Make, address: str) -> None:
    """An empty database stays empty."""
    said = backbeat("ledger", "migrate", "--dry-run")
    assert said.code == 0
    assert f"would be made with schema {SCHEMA_VERSION}" in said.out
    assert _dump(address) == {}


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_newer_ledger_is_not_touched(backbeat: Make, filled: str, words: tuple[str, ...]) -> None:
    """Where a newer release forbids it, migrate refuses, also to rehearse."""
    _sql(filled, "UPDATE backbeat_meta SET value = '99'  WHERE name <> 'product'")
    before = _dump(filled)
    said = backbeat("ledger", "migrate", *words)
    assert (said.code, _dump(filled)) == (6, before)
    assert "hint: upgrade backbeat" in said.err


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_another_programs_file_is_not_touched(
    backbeat: Make, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A database with other tables stays as it is to the last byte."""
    path = tmp_path / "app.db"
    _sql(str(path), "CREATE TABLE customers (id INTEGER)")
    before = path.read_bytes()
    said = backbeat("ledger", "migrate", "--ledger", path, *words)
    assert said.code == 6
    assert "other tables (customers)" in said.err
    assert path.read_bytes() == before


def test_the_roles_are_sql_that_runs(backbeat: Make, new_database: Make) -> None:
    """What `roles` prints can be given to psql, twice, and lets a worker write no schema."""
    url = new_database()
    script = backbeat("ledger", "roles").out
    for _ in range(2):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(script)
    with psycopg.connect(url) as connection:
        connection.execute("SET ROLE backbeat_worker")
        connection.execute("INSERT INTO backbeat_budgets VALUES ('b', 1, 'now')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM backbeat_audit_log")


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("role", "code_of"),
    [
        ("worker", {"doctor": 0, "prune": 3, "backup": 3}),
        ("reader", {"doctor": 0, "prune": 3, "backup": 3}),
        ("auditor", {"doctor": 0, "prune": 3, "backup": 3}),
        ("keeper", {"doctor": 0, "prune": 0, "backup": 3}),
    ],
)
def test_each_role_looks_after_what_it_may(
    backbeat: Make, filled: str, tmp_path: Path, role: str, code_of: dict[str, int]
) -> None:
    """What a role lacks the right to is refused with what to do, and changes nothing."""
    _sql(filled, backbeat("ledger", "roles").out, FINISH)
    as_role = f"{filled}&options=-c%20role%3Dbackbeat_{role}"
    before = _dump(filled)
    for command, code in code_of.items():
        said = backbeat("ledger", *_words(command, tmp_path), "--ledger", as_role)
        assert (command, said.code) == (command, code)
        assert ("`backbeat ledger roles` prints" in said.err) == (code == 3)
    assert (_dump(filled) == before) == (code_of["prune"] == 3)
    assert list(tmp_path.glob("*.db")) == []


@pytest.mark.parametrize("goal", ["sqlite", "postgres"])
def test_a_backup_fills_a_new_ledger(
    backbeat: Make, filled: str, goal: str, new_database: Make, tmp_path: Path
) -> None:
    """From either database to either, with what it holds counted in both answers."""
    copied = backbeat("ledger", "backup", tmp_path / "copy.db", "--json")
    assert copied.code == 0
    assert copied.json["rows"]["backbeat_runs"] == 1
    where = str(tmp_path / "new.db") if goal == "sqlite" else new_database()
    said = backbeat("ledger", "restore", tmp_path / "copy.db", "--ledger", where, "--json")
    assert (said.code, said.json["rows"]) == (0, copied.json["rows"])
    assert backbeat("ledger", "doctor", "--ledger", where).code == 0
    query = "SELECT key, state, token FROM backbeat_runs"
    assert _sql(where, query) == _sql(filled, query)


def test_people_read_what_was_copied(backbeat: Make, filled: str, tmp_path: Path) -> None:
    """The tables that hold something are listed with their rows."""
    said = backbeat("ledger", "backup", tmp_path / "copy.db")
    assert f"was copied to {tmp_path / 'copy.db'}: 11 rows" in said.out
    rows = dict(line.split() for line in said.out.splitlines()[1:])
    three, one = ("audit_log", "audit_private"), ("attempts", "events", "outbox", "runs", "streams")
    assert rows == {"table": "rows", **dict.fromkeys(three, "3"), **dict.fromkeys(one, "1")}


def test_a_backup_replaces_nothing(backbeat: Make, filled: str, tmp_path: Path) -> None:
    """A file that is there stays, and a folder that is not there is not made."""
    (tmp_path / "copy.db").write_text("yesterday's")
    said = backbeat("ledger", "backup", tmp_path / "copy.db")
    assert (said.code, (tmp_path / "copy.db").read_text()) == (6, "yesterday's")
    assert "choose another name" in said.err
    said = backbeat("ledger", "backup", tmp_path / "absent" / "copy.db", "--json")
    assert (said.code, said.out) == (6, "")
    assert not (tmp_path / "absent").exists()


def test_a_ledger_that_holds_something_is_not_filled(
    backbeat: Make, filled: str, tmp_path: Path
) -> None:
    """Restoring over a record would mix two truths: it is refused and nothing changes."""
    backbeat("ledger", "backup", tmp_path / "copy.db")
    before = _dump(filled)
    said = backbeat("ledger", "restore", tmp_path / "copy.db")
    assert (said.code, _dump(filled)) == (6, before)
    assert "hint: restore into a new ledger" in said.err


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("address")
def test_a_missing_backup_makes_no_ledger(backbeat: Make, tmp_path: Path) -> None:
    """A mistyped name is wrong usage, and nothing appears."""
    said = backbeat("ledger", "restore", tmp_path / "absent.db")
    assert said.code == 2
    assert "absent.db" in said.err
    assert list(tmp_path.iterdir()) == []


def test_prune_counts_before_it_removes(backbeat: Make, filled: str) -> None:
    """What is old and finished leaves, what waits stays; the log grows by the pruner's entry."""
    assert backbeat("ledger", "prune", "--json").json["runs"] == 0
    _sql(filled, FINISH)
    before = _dump(filled)
    said = backbeat("ledger", "prune", "--dry-run")
    assert (said.code, _dump(filled)) == (0, before)
    assert said.out.startswith("1 finished runs and 0 settled requests from before ")
    assert said.out.strip().endswith("would leave")
    said = backbeat("ledger", "prune", "--json")
    assert (said.json["runs"], said.json["streams"], said.json["dry_run"]) == (1, 0, False)
    [(left,)] = _sql(filled, "SELECT count(*) FROM backbeat_runs")
    assert left == 0
    entries = _sql(filled, "SELECT action FROM backbeat_audit_log ORDER BY position")
    assert [action for (action,) in entries][-2:] == ["ledger.prune", "ledger.prune"]
    assert backbeat("ledger", "doctor").code == 0


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("filled")
def test_prune_keeps_at_least_a_day(backbeat: Make) -> None:
    """Nobody prunes the night that is running by a slip."""
    said = backbeat("ledger", "prune", "--days", 0)
    assert said.code == 2


def test_the_doctor_finds_a_changed_entry(backbeat: Make, filled: str) -> None:
    """A sound ledger is exit code 0; one byte of the audit log, and it is 1."""
    assert backbeat("ledger", "doctor").code == 0
    other = "'\\x7b7d'" if "://" in filled else "x'7b7d'"
    _sql(filled, f"UPDATE backbeat_audit_log SET body = {other} WHERE position = 2")  # noqa: S608
    said = backbeat("ledger", "doctor")
    assert said.code == 1
    assert "WRONG audit log: entries whose bytes no longer have their hash: 2" in said.out
    findings = backbeat("ledger", "doctor", "--json").json["findings"]
    assert [item["name"] for item in findings if not item["ok"]] == ["audit log"]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("words", [("backup", "copy.db"), ("prune",), ("doctor",)])
def test_a_mistyped_file_is_no_new_ledger(
    backbeat: Make, address: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    """What looks after a ledger makes none: the name is told, and nothing appears."""
    said = backbeat("ledger", *words)
    assert said.code == 6
    assert f"there is no ledger {address}" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
@pytest.mark.parametrize("command", ["backup", "restore", "prune", "doctor"])
def test_a_database_without_a_ledger_says_what_to_run(
    backbeat: Make, address: str, command: str, tmp_path: Path
) -> None:
    """Only migrate makes a schema; the others say so."""
    (tmp_path / "file.db").touch()
    words = {"backup": [tmp_path / "copy.db"], "restore": [tmp_path / "file.db"]}.get(command, [])
    said = backbeat("ledger", command, *words)
    assert said.code == 6
    assert "hint: run `backbeat ledger migrate` once" in said.err
    assert _dump(address) == {}


def _words(command: str, tmp_path: Path) -> list[str]:
    if command not in {"backup", "restore"}:
        return [command]
    file = tmp_path / f"{command}.db"
    if command == "restore":
        file.touch()
    return [command, str(file)]


@pytest.mark.parametrize("command", WITH_A_LEDGER)
@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ("postgresql://bob:{pw}@127.0.0.1:1/x", 5, "postgresql://127.0.0.1:1/x"),
        ("postgresql://bob:{pw}@127.0.0.1:port/x", 6, "no PostgreSQL URL"),
        ("mysql://bob:{pw}@127.0.0.1/x", 6, "there is no ledger at mysql://"),
        ("https://bob:{pw}@127.0.0.1", 6, "https://***@127.0.0.1 is a service"),
    ],
)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_wrong_address_is_named_without_its_password(
    backbeat: Make,
    tmp_path: Path,
    command: str,
    wrong: str,
    code: int,
    said: str,
    as_json: tuple[str, ...],
) -> None:
    """An address that does not answer, is none, or is a service's, is refused with a hint."""
    words = _words(command, tmp_path)
    answer = backbeat("ledger", *words, "--ledger", wrong.format(pw=PASSWORD), *as_json)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert "hint" in answer.err
    assert PASSWORD not in answer.err


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_no_answer_shows_the_password(
    backbeat: Make, address: str, tmp_path: Path, as_json: tuple[str, ...]
) -> None:
    """Whatever goes well names the database without user and password."""
    assert PASSWORD in address
    for command in ("migrate", "doctor", "backup", "prune"):
        said = backbeat("ledger", *_words(command, tmp_path), *as_json)
        assert said.code == 0
        assert PASSWORD not in said.out + said.err
    assert PASSWORD.encode() not in (tmp_path / "backup.db").read_bytes()


def test_a_file_may_be_written_as_a_url(backbeat: Make, tmp_path: Path) -> None:
    """`sqlite:///` and a path are the same ledger."""
    path = tmp_path / "ledger.db"
    assert backbeat("ledger", "migrate", "--ledger", f"sqlite:///{path}").code == 0
    assert backbeat("ledger", "doctor", "--ledger", path).code == 0


def test_the_folders_ledger_is_the_default(
    backbeat: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an address it is the platform's own file."""
    monkeypatch.delenv("BACKBEAT_LEDGER", raising=False)
    assert backbeat("ledger", "migrate").code == 0
    assert (folder / "ledger.db").exists()


@pytest.mark.parametrize("command", WITH_A_LEDGER)
@pytest.mark.parametrize(
    ("set_to", "said"), [("", "no ledger is named"), ("none", "BACKBEAT_LEDGER is `none`")]
)
def test_a_ledger_that_is_not_named_is_an_error(
    tmp_path: Path, command: str, set_to: str, said: str
) -> None:
    """Without folder, environment and option the command says what to pass."""
    nothing = {"BACKBEAT_FOLDER": "", "BACKBEAT_LEDGER": set_to}
    answer = CliRunner().invoke(app, ["ledger", *_words(command, tmp_path)], env=nothing)
    assert (answer.exit_code, answer.stdout) == (6, "")
    assert said in answer.stderr
    assert "hint: pass --ledger" in answer.stderr
