"""A monitor: the reference, the past batches and the marks of one watched table, in the store."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, ValidationError

from backbeat.canonical import canonical_bytes
from backbeat.data.key import clean_key, partition_name
from backbeat.drift.marks import (
    Acknowledgement,
    Mark,
    Mute,
    mark_bytes,
    mark_id,
    muted,
    read_mark,
)
from backbeat.drift.past import PastBatch
from backbeat.drift.profile import Profile
from backbeat.drift.rules import Rules
from backbeat.drift.verdict import Check, Decision, DriftVerdict, Severity
from backbeat.errors import InvalidData, InvalidStep, NotFound
from backbeat.identity import Actor
from backbeat.ports import Store

__all__ = [
    "JudgedBatch",
    "JudgedColumn",
    "Monitor",
    "covers",
    "spanning",
]

_log = logging.getLogger(__name__)
_PROFILE, _DECISION = ".json", ".decision.json"
_EDGES_SHOWN = 12


class _Read(BaseModel):
    # what a later version has added to a decision is no reason to forget the decision
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Fired(_Read):
    check: Check


class JudgedColumn(_Read):
    """What was decided about a column of a past batch: the part that its history is made of."""

    name: str
    verdict: DriftVerdict
    effect: float | None = None
    band: float | None = None
    severity: Severity = "none"
    findings: tuple[_Fired, ...] = ()
    muted_until: str | None = None

    @property
    def alarming(self) -> bool:
        """Whether the column drifted or was broken, and nobody had muted it."""
        return self.verdict in {"drifted", "broken"} and self.muted_until is None


class _Judged(_Read):
    verdict: DriftVerdict
    calibrated: bool = False
    severity: Severity = "none"
    columns: tuple[JudgedColumn, ...] = ()

    @property
    def fired(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.findings)

    @property
    def alarms(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.alarming)


class JudgedBatch(_Read):
    """A past decision, as much as is needed of its file.

    Args:
        format: Names the file format.
        version: Version of the file format.
        partition: The batch.
        reference: Digest of the profile that the batch was compared with.
        rules: The rules that held then.
        decision: What was decided.
    """

    format: Literal["backbeat.decision"] = "backbeat.decision"
    version: Literal[1] = 1
    partition: str
    reference: str = ""
    rules: dict[str, Any] = {}
    decision: _Judged


class Monitor:
    """One watched table's files below a prefix of the store.

    ::

        <prefix>/reference.json                         the pinned profile
        <prefix>/<edges>/<partition>.json               a batch, counted on the edges of that digest
        <prefix>/<edges>/<partition>.decision.json      what was decided about it
        <prefix>/marks/<id>.json                        what people have said; append-only

    Every file is whole or absent, and the same batch overwrites its own file with the same bytes.

    Args:
        store: Where the files are.
        prefix: A key of the store.

    Raises:
        FinalError: The prefix leaves the store.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self.store = store
        self.prefix = clean_key(prefix)

    @property
    def reference_key(self) -> str:
        """Where the pinned profile is."""
        return f"{self.prefix}/reference.json"

    def reference(self) -> Profile:
        """The pinned profile.

        Raises:
            NotFound: The monitor has none: nothing is known under this prefix yet.
            InvalidData: It is damaged.
        """
        try:
            content = self.store.read(self.reference_key)
        except NotFound:
            raise NotFound(
                f"there is no monitor under {self.prefix!r}: it has no reference.json",
                hint=f"begin one with `backbeat profile build DATA -o {self.reference_key}`, or "
                "see whether its name is right",
            ) from None
        return Profile.from_bytes(content)

    def pin(self, reference: Profile) -> str:
        """Make a profile the reference, unless it is already; returns its digest."""
        content = reference.to_bytes()
        try:
            there = self.store.read(self.reference_key)
        except NotFound:
            there = b""
        if there != content:
            self.store.write(self.reference_key, content)
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    def partitions(self, edges: str) -> list[str]:
        """The batches that are counted on these edges, in the order of their names."""
        names = (key.rsplit("/", 1)[1] for key in self.store.keys(f"{self._folder(edges)}/"))
        return sorted(
            unquote(name.removesuffix(_PROFILE))
            for name in names
            if name.endswith(_PROFILE) and not name.endswith(_DECISION)
        )

    def past(
        self, edges: str, *, before: str | None = None, limit: int | None = None
    ) -> list[PastBatch]:
        """Past batches, the oldest first; damaged files are left out, with a warning.

        Partitions are compared as text: ISO days, hours and months are in the order of time.

        Args:
            edges: `Profile.edges_digest` of the reference.
            before: The batch to be judged: neither it nor any later one is its history.
            limit: How many, the latest ones; no others are read.
        """
        chosen = [name for name in self.partitions(edges) if before is None or name < before]
        found: list[PastBatch] = []
        for partition in reversed(chosen):
            if limit is not None and len(found) >= limit:
                break
            stored = self.stored(edges, partition)
            if stored is not None:
                found.append(stored[0])
        return found[::-1]

    def stored(self, edges: str, partition: str) -> tuple[PastBatch, JudgedBatch | None] | None:
        """A batch and what was decided about it; None, with a warning, where a file is damaged."""
        try:
            profile = self.batch(edges, partition)
            judged = self.judged(edges, partition)
        except (InvalidData, NotFound) as error:
            key = self._key(edges, partition, _PROFILE)
            _log.warning("the history goes on without %s: %s", key, error.message)
            return None
        batch = PastBatch(
            partition=partition,
            profile=profile,
            verdict=judged.decision.verdict if judged else None,
            fired=judged.decision.fired if judged else (),
            calibrated=judged.decision.calibrated if judged else True,
            acknowledged=any(
                isinstance(mark, Acknowledgement) and mark.partition == partition
                for mark in self._marks.values()
            ),
        )
        return batch, judged

    def batch(self, edges: str, partition: str) -> Profile:
        """One batch's profile.

        Raises:
            NotFound: It was not counted on these edges.
            InvalidData: Its file is damaged.
        """
        return Profile.from_bytes(self.store.read(self._key(edges, partition, _PROFILE)))

    def judged(self, edges: str, partition: str) -> JudgedBatch | None:
        """What was decided about a batch; None where it was only counted.

        Raises:
            InvalidData: The file is damaged.
        """
        key = self._key(edges, partition, _DECISION)
        try:
            content = self.store.read(key)
        except NotFound:
            return None
        try:
            return JudgedBatch.model_validate(json.loads(content))
        except (ValueError, ValidationError) as error:
            raise InvalidData(
                f"{key} is truncated or no decision", hint="check the batch again"
            ) from error

    def write_batch(self, partition: str, profile: Profile, *, edges: str = "") -> str:
        """Keep a batch's counts; returns its key.

        Args:
            partition: The batch.
            profile: Its counts.
            edges: The reference's digest, where a broken batch's columns are not the reference's.
        """
        key = self._key(edges or profile.edges_digest, partition, _PROFILE)
        self.store.write(key, profile.to_bytes())
        return key

    def write_decision(
        self,
        partition: str,
        decision: Decision,
        *,
        edges: str,
        rules: Rules,
        reference: str = "",
    ) -> str:
        """Keep what was decided about a batch; returns its key.

        Write it before the batch: a batch without a decision would count as an ordinary one.
        """
        key = self._key(edges, partition, _DECISION)
        content = {
            "format": "backbeat.decision",
            "version": 1,
            "partition": partition,
            "reference": reference,
            "rules": rules.model_dump(mode="json", exclude_defaults=True),
            "decision": decision.model_dump(mode="json"),
        }
        self.store.write(key, canonical_bytes(content))
        return key

    def mute(
        self, column: str, *, until: date, reason: str, by: Actor, at: datetime | None = None
    ) -> str:
        """Raise no alarm about a column up to and including a day; returns the mark's key.

        Raises:
            InvalidStep: The reason is empty.
        """
        said = {"column": column, "until": until, "reason": reason, "by": by}
        return self._mark(Mute, {**said, "at": at or datetime.now(UTC)})

    def acknowledge(
        self, partition: str, *, reason: str, by: Actor, at: datetime | None = None
    ) -> str:
        """Say that what was found in a batch is as it should be; returns the mark's key.

        Raises:
            InvalidStep: The reason is empty.
        """
        said = {"partition": partition, "reason": reason, "by": by}
        return self._mark(Acknowledgement, {**said, "at": at or datetime.now(UTC)})

    def marks(self) -> list[Mark]:
        """What people have said, the oldest first; a damaged mark is left out, with a warning."""
        return list(self._marks.values())

    def muted(self, partition: str) -> dict[str, str]:
        """The columns that are muted for a batch, each with the last day of its mute."""
        return muted(self._marks.values(), partition)

    @cached_property
    def _marks(self) -> Mapping[str, Mark]:
        return dict(self._read_marks())

    def _read_marks(self) -> Iterator[tuple[str, Mark]]:
        for key in self.store.keys(f"{self.prefix}/marks/"):
            try:
                yield key, read_mark(self.store.read(key))
            except (InvalidData, NotFound) as error:
                _log.warning("%s is left out: %s", key, error.message)

    def _mark(self, kind: type[Mute | Acknowledgement], said: Mapping[str, Any]) -> str:
        try:
            mark = kind.model_validate(said)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise InvalidStep(
                f"this cannot be recorded: {'.'.join(map(str, first['loc']))}: {first['msg']}",
                hint="say who and why, in a few words",
            ) from error
        key = f"{self.prefix}/marks/{mark_id(mark)}.json"
        self.store.create(key, mark_bytes(mark))
        self.__dict__.pop("_marks", None)
        return key

    def _folder(self, edges: str) -> str:
        return f"{self.prefix}/{edges.removeprefix('sha256:')[:_EDGES_SHOWN]}"

    def _key(self, edges: str, partition: str, suffix: str) -> str:
        return f"{self._folder(edges)}/{partition_name(partition)}{suffix}"


def covers(profile: Profile, partition: str) -> bool:
    """Whether a profile says of itself that it holds a batch.

    Its own partition is one batch's name, or `first/last` (ISO 8601) of a span of them.
    """
    first, slash, last = profile.partition.partition("/")
    same = bool(partition) and profile.partition == partition
    return same or bool(slash and first <= partition <= last)


def spanning(profiles: Sequence[Profile]) -> Profile:
    """The profile of several batches together; its partition is `first/last`.

    Args:
        profiles: At least one, on the same edges.

    Raises:
        InvalidData: One batch is there twice, or the edges differ.
    """
    names = sorted(profile.partition for profile in profiles if profile.partition)
    twice = [one for one, other in pairwise(names) if one == other]
    if twice:
        raise InvalidData(
            f"the batch {twice[0]} would be counted twice", hint="give each batch's profile once"
        )
    together = profiles[0]
    for profile in profiles[1:]:
        together = together.merge(profile)
    ends = [part for name in names for part in (name.partition("/")[0], name.rpartition("/")[2])]
    return together.model_copy(
        update={"partition": f"{min(ends)}/{max(ends)}" if len(names) > 1 else "".join(names)}
    )
