"""The store on a local folder: temporary file, fsync, rename, fsync of the directory."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from backbeat.errors import FinalError, InvalidData, NotFound, StorageFull

__all__ = ["FolderStore"]

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
_TAKEN = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG}
_UNFINISHED = ".unfinished-"


class FolderStore:
    """Named bytes in a folder. A killed writer leaves at most a file that nobody reads.

    Args:
        root: The folder; created at the first write.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser().resolve()

    def read(self, key: str) -> bytes:
        """The bytes under a key.

        Raises:
            NotFound: Nothing is stored there; a retry helps only once somebody has written it.
        """
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFound(
                f"the store has nothing under {key!r}", hint=f"look in {self.root}"
            ) from None

    def write(self, key: str, data: bytes) -> None:
        """Put bytes under a key, replacing what is there, in one rename.

        Raises:
            StorageFull: The disk is full, read-only or failing; the old bytes are still there.
        """
        with self.writing(key) as temporary:
            temporary.write_bytes(data)

    def create(self, key: str, data: bytes) -> bool:
        """Put bytes under a key unless it exists: a hard link either appears whole or fails.

        Returns:
            False where the key existed; nothing was changed then.
        """
        path = self._path(key)
        with self._translated(key), self._temporary(path) as temporary:
            temporary.write_bytes(data)
            _sync_file(temporary)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            _sync_folder(path.parent)
        return True

    def exists(self, key: str) -> bool:
        """Whether a whole object is stored under the key."""
        return self._path(key).is_file()

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that start with a prefix, sorted; unfinished writes are not keys."""
        folder = self._path(prefix.rsplit("/", 1)[0]) if "/" in prefix else self.root
        found = (
            path.relative_to(self.root).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(_UNFINISHED)
        )
        yield from sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""
        with self._translated(key):
            self._path(key).unlink(missing_ok=True)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A temporary file beside the key; the key when the block ends well, else gone."""
        path = self._path(key)
        with self._translated(key), self._temporary(path) as temporary:
            yield temporary
            _sync_file(temporary)
            temporary.replace(path)
            _sync_folder(path.parent)

    def locate(self, uri: str) -> Path:
        """The local path of a store key, an absolute path or a `file://` URI, for reading.

        Raises:
            InvalidData: The URI has another scheme, which this store cannot read.
        """
        parts = urlsplit(uri)
        if parts.scheme == "file":
            return Path(unquote(parts.path))
        if parts.scheme:
            raise InvalidData(
                f"a folder store cannot read {parts.scheme}:// ({uri})",
                hint="copy the data to the landing folder, or give a path or file:// URI",
            )
        return Path(uri) if uri.startswith("/") else self._path(uri)

    def _path(self, key: str) -> Path:
        pure = PurePosixPath(key)
        if pure.is_absolute() or ".." in pure.parts or "\0" in key:
            raise FinalError(
                f"the store key {key!r} leaves the store",
                hint="give a relative key without '..'",
            )
        if not pure.parts:
            raise FinalError(
                f"the store key {key!r} is no place in the store",
                hint="give a key with a name in it",
            )
        return self.root / pure

    @contextmanager
    def _temporary(self, path: Path) -> Iterator[Path]:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f"{_UNFINISHED}{secrets.token_hex(8)}"
        try:
            yield temporary
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _TAKEN:
                raise FinalError(
                    f"cannot write {key!r} in {self.root}: {error.strerror}",
                    hint="choose a key that is neither a folder nor below a file",
                ) from error
            if error.errno not in _PASSING:
                raise
            raise StorageFull(
                f"cannot write {key!r} in {self.root}: {error.strerror}",
                hint="free space on, or make writable, the disk that holds the store",
            ) from error


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
