"""Which code a season was played with: `python -m flights.played FOLDER` leaves a mark there."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

__all__ = ["code_digest", "is_current", "mark"]

_ROOT = Path(__file__).parents[4]
_CODE = ("src", "airflow_provider/src", "dagster_integration/src", "example_dags")
_MARK = "played-with"


def code_digest() -> str:
    """Digest over every Python file that a season depends on."""
    hasher = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((_ROOT / folder).rglob("*.py")):
            hasher.update(path.relative_to(_ROOT).as_posix().encode() + path.read_bytes())
    return hasher.hexdigest()


def is_current(folder: Path) -> bool:
    """Whether the season in a folder was played with the code as it is now."""
    path = folder / _MARK
    return path.exists() and path.read_text() == code_digest()


def mark(folder: Path) -> None:
    """Note that the season in a folder was played with the code as it is now."""
    (folder / _MARK).write_text(code_digest())


if __name__ == "__main__":
    mark(Path(sys.argv[1]))
