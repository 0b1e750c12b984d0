"""What the store knows of jobs: that one is about to be submitted, and then which one it is.

    <output>/_jobs/<shard's key>/<try>.intent.json    written before the server is asked
    <output>/_jobs/<shard's key>/<try>.job.json       written when it has answered
    <output>/_jobs/<shard's key>/<try>.charged.json   written when its cost is known and counted
    <output>/_jobs/<shard's key>/<try>.gone.json      written when we cancel it, with its task

An intent without a job is a worker that died in between: then, and only then, the server's list is
searched for the effect's id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from backbeat.canonical import canonical_bytes
from backbeat.errors import InvalidData, LeaseHeld, NotFound
from backbeat.ledger.owner import is_certainly_dead, this_process
from backbeat.ports import Store

__all__ = ["Intent", "Notes", "give_up"]

# longer than a server takes to answer, as long as a lease
_PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True)
class Intent:
    """Somebody was about to submit a job.

    Args:
        at: When, by that worker's clock.
        owner: That worker's process.
    """

    at: datetime
    owner: str


def give_up(store: Store, key: str) -> None:
    """Note under a key of `Notes.gone` that a job is cancelled with its task."""
    store.create(key, canonical_bytes({"at": datetime.now(UTC).isoformat()}))


class Notes:
    """The notes of one shard's jobs.

    Args:
        store: Where they are.
        folder: Store prefix; the shard's own.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder

    def submitted(self) -> list[str]:
        """Ids of the jobs that were submitted for the shard, in order; the last one counts."""
        found: list[str] = []
        while (job := self._read(len(found), "job")) is not None:
            found.append(str(job["id"]))
        return found

    def intend(self, number: int) -> Intent | None:
        """Say that a job is about to be submitted.

        Args:
            number: Which of the shard's jobs it is, counted from 0.

        Returns:
            None where this is the first time. Else the intent of the worker that died since: its
            job may be there.

        Raises:
            LeaseHeld: Another worker may be submitting it right now.
        """
        now = datetime.now(UTC)
        key = self._key(number, "intent")
        if self._store.create(key, _said(Intent(at=now, owner=this_process()))):
            return None
        found = self.intent(number)
        if found is None:
            return None  # it was there a moment ago: whoever removes notes wants a job anew
        left = (found.at + _PATIENCE - now).total_seconds()
        mine = found.owner == this_process()
        if left > 0 and not mine and not is_certainly_dead(found.owner):
            raise LeaseHeld(
                f"Another worker is submitting the job of {self._folder}.",
                hint="let it go on, or try again when it had time to",
                retry_after=left,
            )
        # the age stays the first one's: its job may be older than this attempt
        self._store.write(key, _said(Intent(at=found.at, owner=this_process())))
        return found

    def intent(self, number: int) -> Intent | None:
        """The intent that stands there; raises InvalidData where it is damaged."""
        told = self._read(number, "intent")
        if told is None:
            return None
        try:
            return Intent(at=datetime.fromisoformat(told["at"]), owner=str(told["owner"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidData(
                f"{self._key(number, 'intent')} is damaged.",
                hint="look for its job on the server, then remove the note",
            ) from error

    def record(self, number: int, job_id: str) -> str:
        """Note a job that was submitted; returns the one that counts, should there be two."""
        if self._store.create(self._key(number, "job"), canonical_bytes({"id": job_id})):
            return job_id
        found = self._read(number, "job") or {}
        return str(found.get("id", job_id))

    def charge(self, number: int) -> bool:
        """Note that what a job has cost is taken from the cap; False where that is done."""
        return self._store.create(self._key(number, "charged"), canonical_bytes({}))

    def give_up(self, number: int) -> None:
        """Note that the job is cancelled with its task: what is left is the next one's."""
        give_up(self._store, self.gone(number))

    def given_up(self, number: int) -> bool:
        """Whether that is noted."""
        return self._store.exists(self.gone(number))

    def gone(self, number: int) -> str:
        """The note's key."""
        return self._key(number, "gone")

    def _key(self, number: int, kind: str) -> str:
        return f"{self._folder}/{number:03d}.{kind}.json"

    def _read(self, number: int, kind: str) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = json.loads(self._store.read(self._key(number, kind)))
        except NotFound:
            return None
        return found


def _said(intent: Intent) -> bytes:
    return canonical_bytes({"at": intent.at.isoformat(), "owner": intent.owner})
