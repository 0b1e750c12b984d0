"""The store on a local folder: temporary file, fsync, rename, fsync of the directory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from backbeat.data.address import scheme_of, store_of
from backbeat.data.disk import disk_errors
from backbeat.data.key import UNFINISHED, clean_key, is_whole
from backbeat.errors import NotFound
from backbeat.ports import StoredFile

__all__ = ["FolderStore"]


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
        with disk_errors(key, self.root), self._temporary(path) as temporary:
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
            if path.is_file() and is_whole(path.name)
        )
        yield from sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""
        with disk_errors(key, self.root):
            self._path(key).unlink(missing_ok=True)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A temporary file beside the key; the key when the block ends well, else gone."""
        path = self._path(key)
        with disk_errors(key, self.root), self._temporary(path) as temporary:
            yield temporary
            _sync_file(temporary)
            temporary.replace(path)
            _sync_folder(path.parent)

    def files(self, uri: str) -> Sequence[StoredFile]:
        """The file, or a folder's files sorted by name, behind a key, a path or a URI.

        What other stores hold is read too: `s3://other-bucket/landing`.
        """
        path = self._locate(uri)
        if path is None:
            return store_of(uri).files(uri)
        if path.is_file():
            return [StoredFile(uri, str(path), path.stat().st_size)]
        return [
            StoredFile(
                f"{uri.rstrip('/')}/{file.relative_to(path).as_posix()}",
                str(file),
                file.stat().st_size,
            )
            for file in sorted(path.rglob("*"))
            if file.is_file() and is_whole(file.name)
        ]

    def filesystem(self, uri: str) -> Any:
        """The `pyarrow.fs.FileSystem` of `files(uri)`: the local one, for keys and paths."""
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem() if self._locate(uri) else store_of(uri).filesystem(uri)

    def address(self, key: str) -> str:
        """The `file://` URI of a key."""
        return self._path(key).as_uri()

    def _locate(self, uri: str) -> Path | None:
        scheme = scheme_of(uri)
        if scheme == "file":
            return Path(unquote(urlsplit(uri).path))
        if scheme:
            return None
        return Path(uri) if uri.startswith("/") else self._path(uri)

    def _path(self, key: str) -> Path:
        return self.root / clean_key(key)

    @contextmanager
    def _temporary(self, path: Path) -> Iterator[Path]:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
        try:
            yield temporary
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


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
