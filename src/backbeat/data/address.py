"""Where a store is: a folder, a bucket, or what fsspec names."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from backbeat.errors import InvalidStep

if TYPE_CHECKING:
    from backbeat.ports import Store

__all__ = ["open_store", "scheme_of", "store_of"]

_BUCKETS = {"s3", "gs", "az"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_store(address: Path | str) -> Store:
    """Open the store at an address; nothing is read or written before it is used.

    Args:
        address: A local folder, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`
            or a URL of another scheme that fsspec knows, such as `memory://name`.

    Raises:
        InvalidStep: The address holds credentials (it is not repeated) or names no bucket.
        UnmetNeed: The extra `bucket` is not installed.
    """
    text = str(address)
    scheme = scheme_of(text)
    if scheme in {"", "file"}:
        from backbeat.data.folder import FolderStore

        return FolderStore(unquote(urlsplit(text).path) if scheme else text)
    _refuse_secrets(scheme, text)
    if scheme in _BUCKETS:
        from backbeat.data.bucket import BucketStore

        return BucketStore(text)
    from backbeat.data.fsspec_store import FsspecStore

    return FsspecStore(text)


def store_of(uri: str) -> Store:
    """The store that can read an absolute path or a URI: the whole disk, bucket or server.

    Raises:
        As `open_store`.
    """
    scheme = scheme_of(uri)
    if scheme in {"", "file"}:
        return _opened("/")
    _refuse_secrets(scheme, uri)
    return _opened(f"{scheme}://{_host(uri)}")


def scheme_of(uri: str) -> str:
    """The scheme of a URI in lower case; empty for a path or a key."""
    found = _SCHEME.match(uri)
    return found[1].lower() if found else ""


# a window of days is a few dozen files of one bucket: one client serves them all
@lru_cache(maxsize=16)
def _opened(root: str) -> Store:
    return open_store(root)


def _refuse_secrets(scheme: str, uri: str) -> None:
    name, at, _ = _host(uri).rpartition("@")
    # a user's name alone is part of some addresses (sftp://ana@host), but never of a bucket's
    if (at and (scheme in _BUCKETS or ":" in name)) or "?" in uri:
        raise InvalidStep(
            f"this {scheme}:// address holds credentials or a query, and addresses are recorded",
            hint="give credentials by the environment (AWS_*, GOOGLE_*, AZURE_*), not in a URL",
        )


def _host(uri: str) -> str:
    return uri.split("://", 1)[1].partition("/")[0]
