"""Contracts where a store finds them: a key beside the data, a path, a URI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backbeat.contract.document import contract_from_json
from backbeat.data import reading
from backbeat.errors import NotFound

if TYPE_CHECKING:
    from backbeat.contract.document import DataContract
    from backbeat.ports import Store

__all__ = ["load_contract", "read_document"]


def load_contract(store: Store, uri: str) -> DataContract:
    """Read the contract behind a store key, an absolute path or a URI.

    Raises:
        NotFound: There is no such file, or a folder in its place.
        InvalidData: It is no contract; says which field is wrong.
    """
    return contract_from_json(read_document(store, uri), what=uri)


def read_document(store: Store, uri: str) -> bytes:
    """The bytes of one file behind a store key, an absolute path or a URI.

    Raises:
        NotFound: There is no such file, or a folder in its place.
        StorageFull: The disk failed; a retry can help.
    """
    files = store.files(uri)
    if len(files) != 1 or files[0].uri != uri:
        raise NotFound(
            f"there is no file {uri}",
            hint="correct the name; `backbeat contract infer DATA` writes a contract to begin with",
        )
    with reading(f"file {uri}"), store.filesystem(uri).open_input_stream(files[0].path) as file:
        content: bytes = file.read()
    return content
