"""What an error of the local disk means for a store."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from backbeat.errors import FinalError, StorageFull

__all__ = ["disk_errors"]

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
_TAKEN = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG}


@contextmanager
def disk_errors(key: str, where: object) -> Iterator[None]:
    """Write to the local disk in a block, for a key that lies (or will lie) `where`.

    Raises:
        StorageFull: The disk is full, read-only or failing; a retry can help.
        FinalError: The key is a folder, or below a file.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _TAKEN:
            raise FinalError(
                f"cannot write {key!r} in {where}: {error.strerror}",
                hint="choose a key that is neither a folder nor below a file",
            ) from error
        if error.errno not in _PASSING:
            raise
        raise StorageFull(
            f"cannot write {key!r} in {where}: {error.strerror}",
            hint="free space on, or make writable, the disk that holds the store",
        ) from error
