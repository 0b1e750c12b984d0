"""The connection of type `backbeat`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from backbeat.errors import UnmetNeed
from backbeat.ports import Need
from backbeat_provider.hooks.backbeat import BackbeatHook
from backbeat_provider.operators import LogLineageOperator


def _connect(patch: pytest.MonkeyPatch, name: str, **extra: object) -> None:
    value = json.dumps({"conn_type": "backbeat", "extra": extra})
    patch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)


def test_the_extra_holds_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection's JSON is the platform's settings, by the same names."""
    _connect(monkeypatch, "lab", folder=str(tmp_path), ledger="none", tracking_uri="none")
    assert BackbeatHook("lab").get_platform().offers == {Need.STORE}


def test_the_environment_stands_in_for_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a connection, `BACKBEAT_FOLDER` makes the platform."""
    monkeypatch.setenv("BACKBEAT_FOLDER", str(tmp_path))
    assert str(tmp_path) in BackbeatHook().get_platform().description


def test_nothing_at_all_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which connection was looked for, and which variable would do."""
    with pytest.raises(UnmetNeed) as raised:
        BackbeatHook().get_platform()
    assert str(raised.value) == (
        "there is no Airflow connection 'backbeat_default', and BACKBEAT_FOLDER is not set either "
        "Hint: add a connection of type backbeat with a folder, or set BACKBEAT_FOLDER for tasks "
        "that use backbeat_default (a retry will not help)"
    )


def test_a_named_connection_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt connection does not silently write into another platform."""
    monkeypatch.setenv("BACKBEAT_FOLDER", str(tmp_path))
    with pytest.raises(UnmetNeed, match="BACKBEAT_FOLDER only stands in for backbeat_default"):
        BackbeatHook("lab").get_platform()


def test_an_unknown_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt setting is no silent default."""
    _connect(monkeypatch, "lab", folder=str(tmp_path), tracking="http://mlflow")
    with pytest.raises(UnmetNeed, match="no setting 'tracking'"):
        BackbeatHook("lab").get_platform()


def test_a_test_tries_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The button on the connection's page says what works, and leaves no probe behind."""
    _connect(monkeypatch, "lab", folder=str(tmp_path / "new"))
    well, said = BackbeatHook("lab").test_connection()
    assert well, said
    assert "can be written" in said
    assert "ledger schema" in said
    assert "MLflow answers" in said
    assert list((tmp_path / "new" / "store").iterdir()) == []


def test_a_test_at_rung_0_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform without a ledger is a good platform, and called what it is."""
    _connect(monkeypatch, "lab", folder=str(tmp_path), ledger="none", tracking_uri="none")
    well, said = BackbeatHook("lab").test_connection()
    assert well
    assert said.endswith("; no ledger (rung 0)")


def test_a_test_of_a_bad_folder_does_not_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not work is a sentence on the page."""
    (tmp_path / "file").write_text("not a folder")
    _connect(monkeypatch, "lab", folder=str(tmp_path / "file"))
    well, said = BackbeatHook("lab").test_connection()
    assert not well
    assert str(tmp_path / "file") in said


def test_a_test_without_a_folder_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was saved half-filled says what is missing."""
    _connect(monkeypatch, "lab")
    assert BackbeatHook("lab").test_connection() == (
        False,
        "a backbeat platform needs a folder Hint: set its `folder` (a retry will not help)",
    )


@pytest.fixture
def celery(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Airflow that runs tasks on several hosts."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor,CeleryExecutor")


@pytest.mark.usefixtures("celery")
@pytest.mark.parametrize("ledger", [None, "own.db"])
def test_a_sqlite_ledger_is_refused_where_hosts_cannot_share_it(
    ledger: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    context: Callable[..., dict[str, Any]],
) -> None:
    """Parsed without a word, refused as the task's first act; no file appears."""
    extra = {"folder": str(tmp_path / "platform"), "tracking_uri": "none"}
    if ledger:
        extra["ledger"] = str(tmp_path / ledger)
    _connect(monkeypatch, "backbeat_default", **extra)
    task = LogLineageOperator(task_id="note")
    with pytest.raises(AirflowFailException, match=r"CeleryExecutor.*SQLite.*postgresql://.*rung"):
        task.execute(context(task))
    well, said = BackbeatHook().test_connection()
    assert not well
    assert "cannot share the SQLite ledger" in said
    with pytest.raises(UnmetNeed):
        asyncio.run(BackbeatHook().aget_platform())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("celery")
def test_the_environments_platform_is_held_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`BACKBEAT_FOLDER` alone means a SQLite ledger too."""
    monkeypatch.setenv("BACKBEAT_FOLDER", str(tmp_path))
    with pytest.raises(UnmetNeed, match="SQLite ledger"):
        BackbeatHook().get_platform()


@pytest.mark.usefixtures("celery")
def test_a_shared_platform_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL, or rung 0 without a registry, is the same from every host."""
    _connect(
        monkeypatch,
        "lab",
        folder=str(tmp_path),
        ledger="postgresql://db/backbeat",
        tracking_uri="http://mlflow",
    )
    assert Need.LEDGER in BackbeatHook("lab").get_platform().offers
    _connect(monkeypatch, "bare", folder=str(tmp_path), ledger="none", tracking_uri="none")
    assert BackbeatHook("bare").get_platform().offers == {Need.STORE}


def test_a_process_has_one_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand triggers share one ledger's connections; other settings are another platform."""
    _connect(monkeypatch, "lab", folder=str(tmp_path / "a"))
    first = BackbeatHook("lab").get_platform()
    assert BackbeatHook("lab").get_platform() is first
    assert asyncio.run(BackbeatHook("lab").aget_platform()) is first
    _connect(monkeypatch, "lab", folder=str(tmp_path / "b"))
    assert BackbeatHook("lab").get_platform() is not first


def test_the_ledgers_password_stays_in_its_own_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_database: Callable[..., str]
) -> None:
    """`conn:<id>` names a connection of type postgres, socket and options included."""
    address = urlsplit(new_database())
    value = {
        "conn_type": "postgres",
        "login": "postgres",
        "password": "p@ss/word",
        "host": parse_qs(address.query)["host"][0],
        "schema": address.path.strip("/"),
        "extra": {"connect_timeout": 10, "application_name": "nightly"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_RECORDS", json.dumps(value))
    _connect(monkeypatch, "lab", folder=str(tmp_path), ledger="conn:records", tracking_uri="none")
    platform = BackbeatHook("lab").get_platform()
    assert platform.ledger.check()["schema"] >= 2
    assert asyncio.run(BackbeatHook("lab").aget_platform()) is platform


def test_a_connection_that_is_no_database_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`conn:` after a connection of another type says which type it wants."""
    monkeypatch.setenv("AIRFLOW_CONN_RECORDS", json.dumps({"conn_type": "http", "host": "x"}))
    _connect(monkeypatch, "lab", folder=str(tmp_path), ledger="conn:records")
    with pytest.raises(UnmetNeed, match="'records' of type 'http' is no ledger"):
        BackbeatHook("lab").get_platform()


def test_a_missing_ledger_connection_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt `conn:` is a sentence on the connection's page, not a traceback."""
    _connect(monkeypatch, "lab", folder=str(tmp_path), ledger="conn:recrods")
    well, said = BackbeatHook("lab").test_connection()
    assert not well
    assert "recrods" in said
