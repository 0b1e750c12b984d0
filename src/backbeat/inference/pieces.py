"""Checkpoints of answered requests: what a worker's death must not make us ask, or pay, again."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backbeat.ports import Store

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Piece", "Pieces"]

_log = logging.getLogger(__name__)
_FACTS = b"backbeat"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The answers to some consecutive rows of a shard.

    Args:
        start: First row, counted in the shard.
        stop: The row behind the last.
        answers: Keys and outputs, in the order of the input, without the rows that were refused.
        bad: Keys, `error` and `message` of those; None where there are none.
        facts: JSON of what else is known: `requests`, `model`, `version`, `server`, usage.
    """

    start: int
    stop: int
    answers: pa.Table
    bad: pa.Table | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Pieces:
    """The pieces of one shard, each a file of its own, until the shard is whole.

    Args:
        store: Where they are.
        folder: Store prefix; the shard's own.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder

    def keep(self, piece: Piece) -> None:
        """Write a piece; whole or not at all."""
        key = f"{self._folder}/{piece.start:09d}-{piece.stop:09d}"
        if piece.bad is not None:
            self._store.write(f"{key}.bad.arrow", _to_bytes(piece.bad, {}))
        # last, for it is what says that the piece is there
        self._store.write(f"{key}.arrow", _to_bytes(piece.answers, piece.facts))

    def found(self) -> list[Piece]:
        """The pieces that an earlier attempt has kept, in order; damaged ones are left out."""
        import pyarrow as pa

        whole = []
        for key in self._store.keys(f"{self._folder}/"):
            if key.endswith(".bad.arrow"):
                continue
            start, _, stop = key.rpartition("/")[2].removesuffix(".arrow").partition("-")
            try:
                answers, facts = _from_bytes(self._store.read(key))
                rows = int(stop) - int(start) - len(answers)
                bad = None
                if rows:
                    bad, _ = _from_bytes(
                        self._store.read(f"{key.removesuffix('.arrow')}.bad.arrow")
                    )
                whole.append(
                    Piece(start=int(start), stop=int(stop), answers=answers, bad=bad, facts=facts)
                )
            except (pa.ArrowException, OSError, ValueError) as error:
                _log.warning("%s is damaged and will be asked again: %s", key, error)
        return whole

    def forget(self) -> None:
        """Remove them: the shard is whole."""
        for key in list(self._store.keys(f"{self._folder}/")):
            self._store.delete(key)


def _to_bytes(table: pa.Table, facts: Mapping[str, Any]) -> bytes:
    import pyarrow as pa

    noted = table.replace_schema_metadata({_FACTS: json.dumps(dict(facts)).encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, noted.schema) as writer:
        writer.write_table(noted)
    return bytes(sink.getvalue())


def _from_bytes(content: bytes) -> tuple[pa.Table, dict[str, Any]]:
    import pyarrow as pa

    table = pa.ipc.open_stream(content).read_all()
    facts = json.loads((table.schema.metadata or {}).get(_FACTS, b"{}"))
    return table.replace_schema_metadata(None), facts
