"""A store's keys: relative names, the same in a folder and in a bucket."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

from backbeat.errors import FinalError, InvalidStep

__all__ = ["UNFINISHED", "clean_key", "is_whole", "partition_name"]

_LONGEST = 200

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


def partition_name(partition: str) -> str:
    """A batch's name as that of a file, which `urllib.parse.unquote` turns back.

    Raises:
        InvalidStep: It is empty or too long.
    """
    # no name may leave the folder, end like another kind of file, or be hidden
    name = quote(partition, safe="").replace(".", "%2E")
    if not name or len(name) > _LONGEST:
        raise InvalidStep(
            f"the partition {partition[:40]!r} is {'empty' if not name else 'too long'} for a file",
            hint=f"name the batch, such as by its day, in at most {_LONGEST} characters",
        )
    return name
