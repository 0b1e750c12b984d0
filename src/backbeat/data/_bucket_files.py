"""A bucket's objects as files of pyarrow, read by ranges. Imports obstore and pyarrow."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import obstore
import pyarrow as pa
from obstore.fsspec import FsspecStore
from obstore.store import ObjectStore
from pyarrow.fs import FSSpecHandler, PyFileSystem

from backbeat.data._bucket_errors import bucket_errors

__all__ = ["arrow_filesystem"]


def arrow_filesystem(client: ObjectStore, scheme: str, root: str) -> PyFileSystem:
    """The bucket as a filesystem whose paths begin with the bucket's name.

    Args:
        client: What reads the objects.
        scheme: The bucket's scheme, such as `s3`.
        root: The bucket's address, such as `s3://bucket`.
    """
    return PyFileSystem(_Handler(FsspecStore(scheme), client, root))


class _Handler(FSSpecHandler):  # type: ignore[misc]
    """Reads through obstore itself, so that its errors are told from those of damaged data."""

    def __init__(self, fs: FsspecStore, client: ObjectStore, root: str) -> None:
        super().__init__(fs)
        self._client = client
        self._root = root

    def get_file_info(self, paths: Iterable[str]) -> Any:
        with bucket_errors("looking for data", self._root):
            return super().get_file_info(paths)

    def open_input_file(self, path: str) -> pa.PythonFile:
        return pa.PythonFile(_RangeFile(self._client, path, self._root), mode="r")

    def open_input_stream(self, path: str) -> pa.PythonFile:
        return self.open_input_file(path)


class _RangeFile(io.RawIOBase):
    """One object, read where it is asked for; it stays the object that was opened."""

    def __init__(self, client: ObjectStore, path: str, root: str) -> None:
        self._client = client
        self._key = path.partition("/")[2]
        self._root = root
        with bucket_errors(f"opening {self._key!r}", root):
            found = obstore.head(client, self._key)
        self._size = int(found["size"])
        self._tag = found["e_tag"]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        stop = min(self._at + len(buffer), self._size)
        if stop <= self._at:
            return 0
        # with the tag, a file that was replaced while it is read is an error, not a mixture
        with bucket_errors(f"reading {self._key!r}", self._root):
            got = obstore.get(
                self._client,
                self._key,
                options={"range": (self._at, stop), "if_match": self._tag},
            ).bytes()
        buffer[: len(got)] = got.to_bytes()
        self._at += len(got)
        return len(got)
