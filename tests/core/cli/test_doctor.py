from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]


def _findings(said: Any) -> dict[str, bool]:
    return {item["name"]: item["ok"] for item in said.json["findings"]}


def test_a_sound_platform_is_well(backbeat: Make, folder: Path) -> None:
    """Store, ledger, audit log and outbox are looked at, nothing is left behind, exit code 0."""
    said = backbeat("doctor", "--json")
    assert said.code == 0
    assert said.json["ok"] is True
    assert said.json["rung"] == 1
    assert said.json["offers"] == ["ledger", "store"]
    looked_at = {"store", "ledger", "audit log", "outbox", "leases", "clock"}
    assert _findings(said) == dict.fromkeys(looked_at, True)
    assert {"backbeat", "pydantic", "sqlalchemy"} <= set(said.json["libraries"]) | {"backbeat"}
    assert list((folder / "store").iterdir()) == []


def test_rung_2_is_a_database_that_hosts_share(
    backbeat: Make, monkeypatch: pytest.MonkeyPatch, new_database: Make
) -> None:
    """PostgreSQL is rung 2."""
    monkeypatch.setenv("BACKBEAT_LEDGER", new_database())
    said = backbeat("doctor", "--json")
    assert (said.code, said.json["rung"]) == (0, 2)
    assert _findings(said)["clock"] is True


def test_rung_3_is_a_service(
    backbeat: Make, monkeypatch: pytest.MonkeyPatch, served: tuple[Any, str]
) -> None:
    """A ledger behind a service is rung 3, and a worker's token is enough to look at it."""
    token = backbeat("token", "issue", "--scope", "worker", "--json").json["token"]
    monkeypatch.setenv("BACKBEAT_LEDGER", served[1].split()[-1])
    monkeypatch.setenv("BACKBEAT_LEDGER_TOKEN", token)
    said = backbeat("doctor", "--json")
    assert (said.code, said.json["rung"]) == (0, 3)
    assert _findings(said)["audit log"] is True


def test_rung_0_is_named(backbeat: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a ledger the rung is 0 and only the store is looked at."""
    monkeypatch.setenv("BACKBEAT_LEDGER", "none")
    said = backbeat("doctor", "--json")
    assert (said.code, said.json["rung"]) == (0, 0)
    assert _findings(said) == {"store": True}


def test_a_tampered_audit_log_is_wrong(backbeat: Make, asking: Path, folder: Path) -> None:
    """One changed byte gives exit code 1 and the entry's position."""
    backbeat("run", asking)
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.execute(
            "UPDATE backbeat_audit_log SET body = CAST(replace(CAST(body AS TEXT), 'cli', 'cly') "
            "AS BLOB) WHERE position = 2"
        )
        connection.commit()
    said = backbeat("doctor", "--json")
    assert said.code == 1
    [wrong] = [item for item in said.json["findings"] if not item["ok"]]
    assert wrong["name"] == "audit log"
    assert wrong["detail"].endswith(": 2")
    assert "WRONG" in backbeat("doctor").out


def test_a_ledger_that_cannot_be_opened_is_wrong(backbeat: Make, folder: Path) -> None:
    """What is no database is told with its remedy, and the rest is still looked at."""
    folder.mkdir()
    (folder / "ledger.db").write_bytes(b"notes, no database " * 100)
    said = backbeat("doctor", "--json")
    assert said.code == 1
    assert _findings(said) == {"store": True, "ledger": False}


def test_a_store_that_cannot_be_written_is_wrong(backbeat: Make, folder: Path) -> None:
    """A file where the store's folder should be is found."""
    folder.mkdir()
    (folder / "store").write_text("a file")
    assert _findings(backbeat("doctor", "--json"))["store"] is False


def test_a_registry_that_does_not_answer_is_wrong(
    backbeat: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is named without its password."""
    pytest.importorskip("mlflow", reason='pip install "backbeat[mlflow]"')
    monkeypatch.setenv("BACKBEAT_TRACKING_URI", "http://bob:s3cret@127.0.0.1:1")
    said = backbeat("doctor", "--json")
    assert said.code == 1
    assert _findings(said)["registry"] is False
    assert "s3cret" not in said.out + said.err


def test_a_backlog_is_wrong(backbeat: Make, folder: Path) -> None:
    """More messages than one tick sends mean that nobody sends; a few are normal."""
    backbeat("doctor")
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.executemany(
            "INSERT INTO backbeat_outbox (id, topic, body, created_at, next_at, tries) "
            "VALUES (?, 'openlineage', '{}', '2026', '2026', 0)",
            [(str(number),) for number in range(1001)],
        )
        connection.commit()
    said = backbeat("doctor", "--json")
    assert (said.code, _findings(said)["outbox"]) == (1, False)
