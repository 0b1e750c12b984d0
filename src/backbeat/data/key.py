"""A store's keys: relative names, the same in a folder and in a bucket."""

from __future__ import annotations

from pathlib import PurePosixPath

from backbeat.errors import FinalError

__all__ = ["UNFINISHED", "clean_key", "is_whole"]

# what is being written, or was when its writer died, has a name that begins like this
UNFINISHED = ".unfinished-"


def clean_key(key: str) -> str:
    """The key in its one spelling, without empty and `.` parts.

    Raises:
        FinalError: The key leaves the store, or names no place in it.
    """
    pure = PurePosixPath(key)
    if pure.is_absolute() or ".." in pure.parts or "\0" in key:
        raise FinalError(
            f"the store key {key!r} leaves the store", hint="give a relative key without '..'"
        )
    if not pure.parts:
        raise FinalError(
            f"the store key {key!r} is no place in the store",
            hint="give a key with a name in it",
        )
    return str(pure)


def is_whole(key: str) -> bool:
    """Whether a key is one that a reader may see."""
    return not PurePosixPath(key).name.startswith(UNFINISHED)
