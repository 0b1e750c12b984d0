"""The record of what was scored: one entry a shard, and one manifest that names what counts.

A shard's entry is written after its file is whole, under a key that only these rows scored by this
model can have; a file without an entry does not exist for a later attempt. The final manifest
replaces the one before it in one step, so a reader sees the scores of one model or of the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backbeat.canonical import canonical_bytes, digest
from backbeat.errors import InvalidData, NotFound
from backbeat.ports import Store

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "file_digest",
    "finished_shard",
    "publish",
    "read_manifest",
    "read_part",
    "read_scores",
    "record_shard",
]

_FORMAT = "backbeat.scores/v1"


def file_digest(content: bytes) -> str:
    """`sha256:<hex>` of a file's bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def finished_shard(store: Store, output: str, key: str) -> dict[str, Any] | None:
    """A shard's entry, where its file is there and whole; None where it must be scored.

    An entry whose file is missing or damaged is removed, so that the shard can be recorded again.
    """
    try:
        entry = json.loads(store.read(_entry_key(output, key)))
        if file_digest(store.read(f"{output}/{entry['file']}")) == entry["digest"]:
            return dict(entry)
    except NotFound:
        pass
    except (ValueError, KeyError, TypeError):
        pass  # bytes that are no entry are as good as none
    store.delete(_entry_key(output, key))
    return None


def record_shard(store: Store, output: str, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Write a shard's entry; where another attempt was faster, its entry is the one that counts."""
    if store.create(_entry_key(output, key), canonical_bytes(dict(entry))):
        return dict(entry)
    return finished_shard(store, output, key) or record_shard(store, output, key, entry)


def publish(store: Store, output: str, manifest: Mapping[str, Any]) -> str:
    """Make a manifest the one that readers follow; returns its digest."""
    whole = {"format": _FORMAT, **manifest}
    store.write(f"{output}/manifest.json", canonical_bytes(whole))
    return digest(whole)


def read_scores(store: Store, output: str) -> pa.Table:
    """Read the scores that the manifest names, in the order of the input.

    Args:
        store: Where they are.
        output: The prefix that they were written under.

    Returns:
        The key columns, the score, `model_version` and, where there is one, `partition`.

    Raises:
        NotFound: Nothing was finished under this prefix; a retry helps once it is.
        InvalidData: A file is missing or is not the one that was written.
    """
    import pyarrow as pa

    manifest, _ = read_manifest(store, output)
    return pa.concat_tables([read_part(store, output, part) for part in manifest["files"]])


def read_manifest(store: Store, output: str) -> tuple[dict[str, Any], str]:
    """The manifest that readers follow now, and its digest.

    Raises:
        NotFound: Nothing was finished under this prefix; a retry helps once it is.
    """
    try:
        manifest = json.loads(store.read(f"{output}/manifest.json"))
    except NotFound as error:
        raise NotFound(
            f"There are no finished scores under {output!r}.",
            hint="run the scoring to its end first, or correct the prefix",
        ) from error
    return manifest, digest(manifest)


def read_part(store: Store, output: str, part: Mapping[str, Any]) -> pa.Table:
    """The rows of one of a manifest's files.

    Args:
        store: Where it is.
        output: The prefix of the scores.
        part: The manifest's entry: `file` and `digest`.

    Raises:
        InvalidData: It is missing or is not the one that was written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = f"{output}/{part['file']}"
    try:
        content = store.read(name)
    except NotFound:
        content = b""
    if file_digest(content) != part["digest"]:
        raise InvalidData(
            f"{name} is {'not the file that was scored' if content else 'missing'}.",
            hint="run the scoring again; it scores only what is missing or damaged",
        )
    return pq.read_table(pa.BufferReader(content))


def _entry_key(output: str, key: str) -> str:
    return f"{output}/_manifest/{key.removeprefix('sha256:')}.json"
