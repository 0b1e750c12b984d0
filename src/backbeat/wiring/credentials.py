"""Credentials for model servers from the environment: JSON, or the path of a file with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from backbeat.errors import UnmetNeed

__all__ = ["credentials_from_environment"]

_PREFIX = "BACKBEAT_CREDENTIALS_"


def credentials_from_environment(name: str) -> Mapping[str, str]:
    """What `BACKBEAT_CREDENTIALS_<NAME>` says.

    Args:
        name: In small or capital letters; `-` and `.` stand as `_` in the variable.

    Raises:
        UnmetNeed: It is not set, or holds no flat JSON object; the error shows none of it.
    """
    variable = _PREFIX + name.upper().replace("-", "_").replace(".", "_")
    text = os.environ.get(variable, "")
    if not text:
        raise UnmetNeed(
            f"there are no credentials {name!r}",
            hint=f'set {variable} to {{"bearer": "…"}}, or to the path of a file with it',
        )
    try:
        found = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
        # what it holds, and an error about it, may show the secret
        raise UnmetNeed(
            f"{variable} is neither a JSON object of texts nor the path of a file with one",
            hint='write {"bearer": "…"}',
        )
    return found
