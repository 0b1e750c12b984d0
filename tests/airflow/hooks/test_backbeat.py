"""The connection of type `backbeat`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backbeat.errors import UnmetNeed
from backbeat.ports import Need
from backbeat_provider.hooks.backbeat import BackbeatHook


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
