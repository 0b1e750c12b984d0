"""The store on a bucket: S3 and what speaks its language, Google Cloud Storage, Azure Blob."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from backbeat.data.address import scheme_of, store_of
from backbeat.data.disk import disk_errors
from backbeat.data.key import UNFINISHED, clean_key, is_whole
from backbeat.errors import BackbeatError, FinalError, InvalidStep, NotFound, Refused, UnmetNeed
from backbeat.ports import StoredFile

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["BucketStore"]

_PART = 8 * 2**20
_PARTS = 9_000  # S3 takes 10,000 parts of an upload
# few tries and short ones: the step that asks is itself retried by its orchestrator
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}

_conditional: set[tuple[str | None, ...]] = set()
_process: list[int] = []


class BucketStore:
    """Named bytes in a bucket. An object is whole or absent; a killed upload is never seen.

    Credentials come from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`) or the machine's own
    identity. `AWS_ENDPOINT_URL` names another server than Amazon's, `AWS_ALLOW_HTTP=true` allows
    one without TLS. The first write of a process looks whether the server refuses to create what
    exists (`If-None-Match: *`, RFC 9110 section 13.1.2); a bucket that does not is refused.

    Args:
        address: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
    """

    def __init__(self, address: str) -> None:
        if find_spec("obstore") is None:
            raise UnmetNeed(
                f"{address} is a bucket, and obstore is not installed",
                hint='pip install "backbeat[bucket]"',
            )
        self._scheme = scheme_of(address)
        name, _, prefix = address.split("://", 1)[1].partition("/")
        if not name:
            raise InvalidStep(
                f"the address {address!r} names no bucket", hint="write s3://bucket/prefix"
            )
        self._root = f"{self._scheme}://{name}"
        self._prefix = clean_key(prefix) if prefix.strip("/") else ""

    def read(self, key: str) -> bytes:
        """The bytes under a key.

        Raises:
            NotFound: Nothing is stored there; a retry helps only once somebody has written it.
            Unreachable: The bucket did not answer; a retry can help.
            Refused: The credentials may not read it.
        """
        import obstore

        from backbeat.data._bucket_errors import bucket_errors

        try:
            with bucket_errors(f"reading {key!r}", self._root):
                found = obstore.get(self._client, self._path(key)).bytes()
        except FileNotFoundError:
            raise NotFound(
                f"the store has nothing under {key!r}", hint=f"look in {self.address(key)}"
            ) from None
        return bytes(found.to_bytes())

    def write(self, key: str, data: bytes) -> None:
        """Put bytes under a key, replacing what is there, in one request or one multipart upload.

        Raises:
            StorageFull, Unreachable: The old bytes are still there; a retry can help.
            Refused: The credentials may not write, or the bucket has no conditional writes.
        """
        path = self._path(key)
        self._require_conditions()
        self._put(path, data, len(data), what=f"writing {key!r}")

    def create(self, key: str, data: bytes) -> bool:
        """Put bytes under a key unless it exists: a conditional write, which one creator wins.

        Returns:
            False where the key existed; nothing was changed then. After an answer that was lost
            on the way, what exists can be these very bytes.
        """
        path = self._path(key)
        self._require_conditions()
        with self._changing(f"creating {key!r}"):
            return self._creates(path, data)

    def exists(self, key: str) -> bool:
        """Whether an object is stored under the key."""
        return self._head(self._path(key)) is not None

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that start with a prefix, sorted."""
        folder = clean_key(prefix.rsplit("/", 1)[0]) if "/" in prefix else ""
        below = len(self._prefix) + 1 if self._prefix else 0
        found = (entry["path"][below:] for entry in self._list(self._joined(folder)))
        yield from sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""
        self._delete(self._path(key), what=f"deleting {key!r}")

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A temporary local file that is uploaded when the block ends well, else gone."""
        path = self._path(key)
        self._require_conditions()
        with tempfile.TemporaryDirectory(prefix="backbeat-") as folder:
            temporary = Path(folder) / PurePosixPath(path).name
            with disk_errors(key, tempfile.gettempdir()):
                yield temporary
            self._put(path, temporary, temporary.stat().st_size, what=f"writing {key!r}")

    def files(self, uri: str) -> Sequence[StoredFile]:
        """The object, or the objects of a folder sorted by name, behind a key or a URI.

        Their versions are ETags. What other stores hold is read too: `s3://other-bucket/landing`.
        """
        path = self._located(uri)
        if path is None:
            return store_of(uri).files(uri)
        entry = self._head(path) if path else None
        if entry is not None:
            return [self._stored(uri, entry)]
        below = len(path) + 1 if path else 0
        found = sorted(self._list(path), key=lambda entry: PurePosixPath(entry["path"]))
        return [
            self._stored(f"{uri.rstrip('/')}/{entry['path'][below:]}", entry) for entry in found
        ]

    def filesystem(self, uri: str) -> Any:
        """The `pyarrow.fs.FileSystem` of `files(uri)`, which reads by ranges."""
        return self._arrow if self._located(uri) is not None else store_of(uri).filesystem(uri)

    def address(self, key: str) -> str:
        """The URI of a key: `s3://bucket/prefix/key`."""
        return f"{self._root}/{self._path(key)}"

    def _located(self, uri: str) -> str | None:
        """The object's path in this bucket; None where the URI leads elsewhere."""
        if scheme_of(uri):
            host, _, path = uri.split("://", 1)[1].partition("/")
            return path.strip("/") if f"{scheme_of(uri)}://{host}" == self._root else None
        return None if uri.startswith("/") else self._path(uri)

    def _path(self, key: str) -> str:
        return self._joined(clean_key(key))

    def _joined(self, key: str) -> str:
        return "/".join(part for part in (self._prefix, key) if part)

    def _stored(self, uri: str, entry: Any) -> StoredFile:
        tag = entry["e_tag"] or entry["version"]
        return StoredFile(
            uri=uri,
            path=f"{self._root.partition('://')[2]}/{entry['path']}",
            size=entry["size"],
            version=tag.removeprefix("W/").strip('"') if tag else None,
        )

    @cached_property
    def _arrow(self) -> Any:
        from backbeat.data._bucket_files import arrow_filesystem

        return arrow_filesystem(self._client, self._scheme, self._root)

    @property
    def _client(self) -> ObjectStore:
        # the runtime behind obstore does not survive a fork: its calls would wait for ever
        if _process and _process[0] != os.getpid():
            raise FinalError(
                f"{self._root} was in use when this process was forked, and cannot be used in it",
                hint="start worker processes with `spawn`, or use the store only after the fork",
            )
        _process[:] = [os.getpid()]
        return self._opened

    @cached_property
    def _opened(self) -> ObjectStore:
        from obstore.store import from_url

        from backbeat.data._bucket_errors import bucket_errors

        with bucket_errors("opening it", self._root):
            return from_url(self._root, retry_config=_RETRIES)

    def _require_conditions(self) -> None:
        known = (self._root, os.environ.get("AWS_ENDPOINT_URL"), os.environ.get("AWS_ENDPOINT"))
        if known in _conditional:
            return
        probe = self._joined(f"{UNFINISHED}probe-{secrets.token_hex(8)}")
        what = "looking for conditional writes"
        try:
            with self._changing(what):
                fit = self._honours_conditions(probe)
        finally:
            with suppress(BackbeatError):
                self._delete(probe, what=what)
        if not fit:
            raise Refused(
                f"{self._root} has no conditional writes: it lets an object that exists be created "
                "again, so that two workers could both believe to be the first",
                hint="use a server that honours `If-None-Match: *` (Amazon S3, Google Cloud "
                "Storage, Azure Blob Storage, Cloudflare R2 and MinIO do), or a local folder",
            )
        _conditional.add(known)

    def _honours_conditions(self, probe: str) -> bool:
        from backbeat.data._bucket_errors import BaseError, has_no_conditions

        try:
            return [self._creates(probe, b"") for _ in range(2)] == [True, False]
        except BaseError as error:
            if has_no_conditions(error):
                return False
            raise

    @contextmanager
    def _changing(self, what: str) -> Iterator[None]:
        from backbeat.data._bucket_errors import bucket_errors

        try:
            with bucket_errors(what, self._root):
                yield
        except FileNotFoundError:
            raise NotFound(
                f"{what}: there is no bucket {self._root}",
                hint="create it, or correct the store's address",
            ) from None

    def _creates(self, path: str, data: bytes) -> bool:
        import obstore

        from backbeat.data._bucket_errors import AlreadyExistsError, is_undecided

        try:
            obstore.put(self._client, path, data, mode="create")
        except AlreadyExistsError as error:
            if is_undecided(error):
                raise
            return False
        return True

    def _put(self, path: str, content: bytes | Path, size: int, *, what: str) -> None:
        import obstore

        with self._changing(what):
            obstore.put(self._client, path, content, chunk_size=max(_PART, size // _PARTS))

    def _head(self, path: str) -> Any:
        import obstore

        from backbeat.data._bucket_errors import bucket_errors

        try:
            with bucket_errors(f"looking for {path!r}", self._root):
                return obstore.head(self._client, path)
        except FileNotFoundError:
            return None

    def _list(self, folder: str) -> Iterator[Any]:
        import obstore

        from backbeat.data._bucket_errors import bucket_errors

        with bucket_errors(f"listing {folder!r}", self._root):
            for page in obstore.list(self._client, folder or None):
                yield from (entry for entry in page if is_whole(entry["path"]))

    def _delete(self, path: str, *, what: str) -> None:
        import obstore

        from backbeat.data._bucket_errors import bucket_errors

        with suppress(FileNotFoundError), bucket_errors(what, self._root):
            obstore.delete(self._client, path)
