"""The platform that a command works on: `--folder`, or what the environment says."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backbeat.errors import NotFound
from backbeat.identity import Actor
from backbeat.platform import Platform
from backbeat.ports import ModelVersion, Need
from backbeat.wiring import from_environment, from_settings, settings_from_environment

__all__ = ["Session", "interactive", "operating_system_user"]


@dataclass(frozen=True)
class Session:
    """What the global options say.

    Args:
        folder: The platform's folder; the environment's where None.
    """

    folder: str | None = None

    def settings(self) -> Mapping[str, str]:
        """The environment's settings, with `--folder` before `BACKBEAT_FOLDER`."""
        found = settings_from_environment()
        return {**found, "folder": self.folder} if self.folder else found

    def platform(self) -> Platform:
        """The platform to work on; raises UnmetNeed where none is named."""
        settings = self.settings()
        if not settings["folder"]:
            return from_environment()  # which says what is missing
        return from_settings(settings)

    def untouched_platform(self) -> Platform:
        """The platform to look at: what does not exist yet is empty, and is not created."""
        from backbeat.ledger.unrecorded import Unrecorded
        from backbeat.wiring.in_folder import ledger_file, registry_file

        settings, platform = self.settings(), self.platform()
        root = Path(settings["folder"])
        ledger = settings.get("ledger") or str(ledger_file(root))
        if "://" not in ledger and not Path(ledger).exists():
            platform.ledger = Unrecorded({})
        if not settings.get("tracking_uri") and not registry_file(root).exists():
            platform.registry = _EmptyRegistry()  # type: ignore[assignment]
        return platform

    def with_ledger(self, what: str) -> Platform:
        """The platform, for a command that is about the ledger; raises UnmetNeed without one."""
        platform = self.platform()
        platform.require([Need.LEDGER], what=what)
        return platform


class _EmptyRegistry:
    """Answers as a registry without models would, without making one."""

    def resolve(self, uri: str) -> ModelVersion:
        raise NotFound(f"{uri} does not exist: no model was ever registered here", hint="train one")

    def alias(self, name: str, alias: str) -> None:
        return None


def operating_system_user() -> Actor:
    """Who runs this command, as far as the operating system knows: a claim, no authentication."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user often has a number only
        name = f"uid:{os.getuid()}"
    return Actor(id=name, method="cli")


def interactive() -> bool:
    """Whether a person sits in front of this command."""
    return sys.stdin.isatty() and sys.stdout.isatty()
