from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backbeat.errors import UnmetNeed
from backbeat.ports import Need
from backbeat.wiring import SETTINGS, from_environment, from_settings

ALL = {Need.STORE, Need.LEDGER, Need.REGISTRY}


@pytest.mark.parametrize(
    ("settings", "offers"),
    [
        ({}, ALL),
        ({"ledger": "none"}, ALL - {Need.LEDGER}),
        ({"tracking_uri": "none"}, ALL - {Need.REGISTRY}),
        ({"ledger": "", "tracking_uri": None}, ALL),
        ({"ledger": "none", "tracking_uri": "none"}, {Need.STORE}),
    ],
)
def test_settings_say_what_a_platform_offers(
    tmp_path: Path, settings: dict[str, Any], offers: set[Need]
) -> None:
    """`none` leaves a part out, empty means its default; nothing is created to find out."""
    platform = from_settings({"folder": str(tmp_path / "p"), **settings})
    assert platform.offers == offers
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ({}, "a backbeat platform needs a folder", "set its `folder`"),
        (
            {"folder": "x", "legder": "y"},
            "a backbeat platform has no setting 'legder'",
            f"settings: {', '.join(SETTINGS)}",
        ),
    ],
)
def test_settings_that_make_no_platform_are_named(
    settings: dict[str, str], message: str, hint: str
) -> None:
    """A missing folder or an unknown setting says what there is."""
    with pytest.raises(UnmetNeed) as caught:
        from_settings(settings)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_the_environment_describes_a_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`BACKBEAT_FOLDER` and its companions are the settings."""
    monkeypatch.setenv("BACKBEAT_FOLDER", str(tmp_path))
    monkeypatch.setenv("BACKBEAT_LEDGER", str(tmp_path / "elsewhere" / "l.db"))
    monkeypatch.setenv("BACKBEAT_NAMESPACE", "team")
    platform = from_environment()
    assert platform.namespace == "team"
    assert platform.ledger.check()["ledger"] == str(tmp_path / "elsewhere" / "l.db")


def test_no_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without BACKBEAT_FOLDER there is no platform, and the error says both ways out."""
    monkeypatch.delenv("BACKBEAT_FOLDER", raising=False)
    with pytest.raises(UnmetNeed, match="BACKBEAT_FOLDER is not set") as caught:
        from_environment()
    assert caught.value.hint == "export BACKBEAT_FOLDER=<folder>, or pass --folder"
