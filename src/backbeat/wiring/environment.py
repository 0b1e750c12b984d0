"""A platform from settings: the environment's `BACKBEAT_*`, or a connection's fields."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from backbeat.errors import UnmetNeed
from backbeat.platform import Platform
from backbeat.wiring.in_folder import embedded
from backbeat.wiring.settings import SETTINGS

__all__ = ["from_environment", "from_settings", "settings_from_environment"]

_PREFIX = "BACKBEAT_"


def from_environment() -> Platform:
    """The platform that `BACKBEAT_FOLDER` and its companions describe.

    Raises:
        UnmetNeed: `BACKBEAT_FOLDER` is not set.
    """
    found = settings_from_environment()
    if not found["folder"]:
        raise UnmetNeed(
            "there is no platform: BACKBEAT_FOLDER is not set",
            hint="export BACKBEAT_FOLDER=<folder>, or pass --folder",
        )
    return from_settings(found)


def settings_from_environment() -> dict[str, str]:
    """What `BACKBEAT_FOLDER` and its companions say; empty text where one is not set."""
    return {name: os.environ.get(_PREFIX + name.upper(), "") for name in SETTINGS}


def from_settings(settings: Mapping[str, Any]) -> Platform:
    """A platform from flat settings, named as in `SETTINGS`; empty means the default.

    Raises:
        UnmetNeed: No folder, or a setting that does not exist.
    """
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise UnmetNeed(
            f"a backbeat platform has no setting {unknown[0]!r}",
            hint=f"settings: {', '.join(SETTINGS)}",
        )
    given = {name: str(value) for name, value in settings.items() if value not in (None, "")}
    if "folder" not in given:
        raise UnmetNeed("a backbeat platform needs a folder", hint="set its `folder`")
    ledger, tracking = given.get("ledger"), given.get("tracking_uri")
    return embedded(
        given["folder"],
        store=given.get("store"),
        ledger=False if ledger == "none" else ledger or True,
        ledger_token=given.get("ledger_token"),
        registry=tracking != "none",
        tracking_uri=None if tracking == "none" else tracking,
        allow_pickle=given.get("allow_pickle", "").lower() == "true",
        namespace=given.get("namespace", "backbeat"),
        lineage_url=given.get("lineage_url"),
        notify=given.get("notify"),
    )
