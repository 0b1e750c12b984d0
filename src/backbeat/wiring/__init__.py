"""Where platforms come from: a folder, the environment, an orchestrator's connection."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.platform import Platform
    from backbeat.wiring.environment import (
        from_environment,
        from_settings,
        settings_from_environment,
    )
    from backbeat.wiring.in_folder import embedded
    from backbeat.wiring.settings import SETTINGS
    from backbeat.wiring.sharing import refuse_unshared

__all__ = [
    "SETTINGS",
    "Platform",
    "embedded",
    "from_environment",
    "from_settings",
    "refuse_unshared",
    "settings_from_environment",
]

_HOMES = {
    "SETTINGS": "backbeat.wiring.settings",
    "Platform": "backbeat.platform",
    "embedded": "backbeat.wiring.in_folder",
    "from_environment": "backbeat.wiring.environment",
    "from_settings": "backbeat.wiring.environment",
    "refuse_unshared": "backbeat.wiring.sharing",
    "settings_from_environment": "backbeat.wiring.environment",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.wiring' has no attribute {name!r}")
