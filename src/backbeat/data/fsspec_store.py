"""The store on whatever else fsspec names: `abfs://`, `oss://`, `memory://`, ..."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from backbeat.data.address import scheme_of, store_of
from backbeat.data.disk import disk_errors
from backbeat.data.key import UNFINISHED, clean_key, is_whole
from backbeat.errors import FinalError, NotFound, Refused, UnmetNeed, Unreachable
from backbeat.ports import StoredFile

__all__ = ["FsspecStore"]

_VERSIONS = ("ETag", "etag", "e_tag", "generation", "md5Hash")

_fit: set[str] = set()
# memory:// looks and then writes: one thread at a time makes that exclusive
_creating = threading.Lock()


class FsspecStore:
    """Named bytes in a filesystem of fsspec, where it can keep a store's promises.

    Two things are asked of it, and the first write of a process looks for both. A file is seen
    whole or not at all: the filesystem hands a file over in one call of its own (as object stores
    do), or shows a file that is being written only once it is closed. And creation is exclusive:
    fsspec's `mode="create"` refuses what exists. A filesystem that lacks one, such as `sftp://`
    and `smb://` (half a file is seen while it is written) or `ftp://` (creation overwrites), is
    refused for writing; data can be read from it all the same.

    What stays unproven: that creation is exclusive between two workers at the same instant rests
    on the filesystem's own word. A file is held in memory while it is written. `memory://` is
    seen by one process only.

    Args:
        address: A URL whose scheme fsspec knows; options come from fsspec's own configuration.
    """

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/") if not address.endswith("://") else address
        self._scheme = scheme_of(address)

    def read(self, key: str) -> bytes:
        """The bytes under a key.

        Raises:
            NotFound: Nothing is stored there; a retry helps only once somebody has written it.
            Unreachable: The filesystem did not answer; a retry can help.
            Refused: The credentials may not read it.
        """
        path = self._path(key)
        try:
            with self._errors(f"reading {key!r}"):
                return bytes(self._fs.cat_file(path))
        except (FileNotFoundError, IsADirectoryError):
            raise NotFound(
                f"the store has nothing under {key!r}", hint=f"look in {self.address(key)}"
            ) from None

    def write(self, key: str, data: bytes) -> None:
        """Put bytes under a key, replacing what is there.

        Raises:
            Unreachable: The filesystem did not answer; a retry can help.
            Refused: It cannot keep a store's promises, or the credentials may not write.
        """
        path = self._path(key)
        self._require_promises()
        with self._errors(f"writing {key!r}"), self._there():
            self._fs.pipe_file(path, data)

    def create(self, key: str, data: bytes) -> bool:
        """Put bytes under a key unless it exists.

        Returns:
            False where the key existed; nothing was changed then.
        """
        path = self._path(key)
        self._require_promises()
        with self._errors(f"creating {key!r}"), self._there():
            return self._creates(path, data)

    def exists(self, key: str) -> bool:
        """Whether a file is stored under the key."""
        with self._errors(f"looking for {key!r}"):
            return bool(self._fs.isfile(self._path(key)))

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that start with a prefix, sorted."""
        folder = self._path(prefix.rsplit("/", 1)[0]) if "/" in prefix else self._root
        below = len(self._root.rstrip("/")) + 1
        found = (info["name"][below:] for info in self._found(folder))
        yield from sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""
        path = self._path(key)
        with suppress(FileNotFoundError), self._errors(f"deleting {key!r}"):
            self._fs.rm_file(path)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A temporary local file that is handed over when the block ends well, else gone."""
        path = self._path(key)
        self._require_promises()
        with tempfile.TemporaryDirectory(prefix="backbeat-") as folder:
            temporary = Path(folder) / PurePosixPath(path).name
            with disk_errors(key, tempfile.gettempdir()):
                yield temporary
            self.write(key, temporary.read_bytes())

    def files(self, uri: str) -> Sequence[StoredFile]:
        """The file, or a folder's files sorted by name, behind a key or a URI.

        Their versions are ETags where the filesystem has them.
        """
        path = self._located(uri)
        if path is None:
            return store_of(uri).files(uri)
        try:
            with self._errors(f"looking for {uri!r}"):
                info = self._fs.info(path)
        except FileNotFoundError:
            return []
        if info["type"] == "file":
            return [_stored(uri, info, path)]
        return [
            _stored(f"{uri.rstrip('/')}/{below}", info, info["name"])
            for info in sorted(self._found(path), key=lambda info: PurePosixPath(info["name"]))
            if (below := info["name"][len(path.rstrip("/")) + 1 :])
        ]

    def filesystem(self, uri: str) -> Any:
        """The `pyarrow.fs.FileSystem` of `files(uri)`."""
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        if self._located(uri) is None:
            return store_of(uri).filesystem(uri)
        return PyFileSystem(FSSpecHandler(self._fs))

    def address(self, key: str) -> str:
        """The URI of a key."""
        return str(self._fs.unstrip_protocol(self._path(key)))

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs

            fs, root = url_to_fs(self._address)
        except (ImportError, ValueError):
            raise UnmetNeed(
                f"there is no fsspec filesystem for {self._scheme}:// here",
                hint=f'pip install "backbeat[bucket]" and the package that fsspec names for '
                f"{self._scheme}://",
            ) from None
        return fs, str(root)

    @property
    def _fs(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    def _located(self, uri: str) -> str | None:
        if scheme_of(uri) == self._scheme:
            uri = f"{self._scheme}://{uri.split('://', 1)[1]}"
            return str(self._fs._strip_protocol(uri))  # noqa: SLF001 - fsspec has no public name
        if scheme_of(uri) or uri.startswith("/"):
            return None
        return self._path(uri)

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{clean_key(key)}"

    def _found(self, folder: str) -> list[Any]:
        try:
            with self._errors(f"listing {folder!r}"):
                found = self._fs.find(folder, detail=True)
        except FileNotFoundError:
            return []
        return [info for info in found.values() if is_whole(info["name"])]

    def _creates(self, path: str, data: bytes) -> bool:
        with _creating:
            try:
                self._fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
        return True

    @contextmanager
    def _there(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NotFound(
                f"there is no {self._address} to write into",
                hint="create the bucket or folder, or correct the store's address",
            ) from None

    def _require_promises(self) -> None:
        if self._address in _fit:
            return
        probe = self._path(f"{UNFINISHED}probe-{secrets.token_hex(8)}")
        try:
            with self._errors("looking for exclusive creation"), self._there():
                why = self._lacks(probe)
        finally:
            with suppress(Exception):
                self._fs.rm_file(probe)
        if why:
            raise Refused(
                f"{self._scheme}:// cannot hold a store: {why}",
                hint="use a bucket (s3://, gs://, az://) or a local folder for the store; data "
                "can still be read from here by its URI",
            )
        _fit.add(self._address)

    def _lacks(self, probe: str) -> str:
        try:
            created = [self._creates(probe, b"") for _ in range(2)]
        except (NotImplementedError, ValueError, TypeError):
            return "it has no exclusive creation"
        if created != [True, False]:
            return "it lets a file that exists be created again"
        self._fs.rm_file(probe)
        if self._hands_over_whole():
            return ""
        with self._fs.open(probe, "wb") as file:
            file.write(b"half")
            file.flush()
            seen = self._fs.exists(probe)
        return "a file is seen before it is whole" if seen else ""

    def _hands_over_whole(self) -> bool:
        """Whether the filesystem has a call of its own for a whole file's bytes."""
        from fsspec.asyn import AsyncFileSystem
        from fsspec.spec import AbstractFileSystem

        kind = type(self._fs)
        if issubclass(kind, AsyncFileSystem):
            return kind._pipe_file is not AsyncFileSystem._pipe_file  # noqa: SLF001 - the same
        return kind.pipe_file is not AbstractFileSystem.pipe_file

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError):
            raise
        except PermissionError:
            raise Refused(
                f"{what} at {self._scheme}:// is not permitted", hint="check the credentials"
            ) from None
        except (FileExistsError, NotADirectoryError):
            raise FinalError(
                f"{what} at {self._scheme}://: a file is where a folder should be",
                hint="choose a key that is neither a folder nor below a file",
            ) from None
        except OSError as error:
            raise Unreachable(
                f"{what} at {self._scheme}:// failed: {type(error).__name__}",
                hint="check the network and the server",
            ) from None


def _stored(uri: str, info: Any, path: str) -> StoredFile:
    tag = next((info[name] for name in _VERSIONS if info.get(name)), None)
    return StoredFile(
        uri=uri,
        path=path,
        size=info["size"] or 0,
        version=None if tag is None else str(tag).removeprefix("W/").strip('"'),
    )
