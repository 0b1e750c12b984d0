"""The narrow ports between a step and the world; `wiring/` builds them, tests swap them.

A port is a Protocol: what it says here is all that a step, a runner or an adapter may rely on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from backbeat.identity import Actor, RunIdentity

__all__ = [
    "Attempt",
    "AuditFact",
    "Budget",
    "Claim",
    "Claimed",
    "Ending",
    "Event",
    "Ledger",
    "Message",
    "ModelVersion",
    "Need",
    "Policy",
    "Recorded",
    "Registry",
    "RunRecord",
    "Sink",
    "Store",
    "StoredFile",
    "StreamInfo",
    "Verdict",
]


class Need(StrEnum):
    """What a step can ask of its platform. The rung says how much must be operated for it."""

    STORE = "store"
    REGISTRY = "registry"
    LEDGER = "ledger"

    @property
    def rung(self) -> int:
        """0: a folder is enough; 1: a ledger."""
        return 1 if self is Need.LEDGER else 0


@dataclass(frozen=True)
class StoredFile:
    """One file that a store can read.

    Args:
        uri: As lineage names it: the key or URI that was asked for, with what lies below it.
        path: Where the store's `filesystem` opens it.
        size: Bytes.
        version: What tells its content from any other, where the storage says (ETag, generation);
            None for a local file, which is hashed.
    """

    uri: str
    path: str
    size: int
    version: str | None = None


class Store(Protocol):
    """Named bytes. Every write is atomic: a reader sees the old bytes, the new ones, or none."""

    def read(self, key: str) -> bytes:
        """The bytes under a key; raises NotFound."""

    def write(self, key: str, data: bytes) -> None:
        """Put bytes under a key, replacing; raises StorageFull."""

    def create(self, key: str, data: bytes) -> bool:
        """Put bytes under a key unless it exists; False where it did (and nothing changed)."""

    def exists(self, key: str) -> bool:
        """Whether something is stored under the key."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that start with a prefix, sorted."""

    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""

    def writing(self, key: str) -> AbstractContextManager[Path]:
        """A temporary local file that becomes the key when the block ends well, else vanishes."""

    def files(self, uri: str) -> Sequence[StoredFile]:
        """The file, or a folder's files sorted by name, behind a key or a URI; empty if missing."""

    def filesystem(self, uri: str) -> Any:
        """The `pyarrow.fs.FileSystem` in which the paths of `files(uri)` can be opened."""

    def address(self, key: str) -> str:
        """The URI under which a person or another program finds a key (`file://…`, `s3://…`)."""


@dataclass(frozen=True)
class ModelVersion:
    """A registered model version as backbeat needs it.

    Args:
        name: Registered model's name.
        version: Version number, as a string.
        uri: `models:/<name>/<version>`.
        run_id: The run that made it, where there is one.
        tags: The version's tags; those that backbeat sets begin with `backbeat.`.
    """

    name: str
    version: str
    uri: str
    run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry(Protocol):
    """A model registry; MLflow is the one that ships."""

    def resolve(self, uri: str) -> ModelVersion:
        """`models:/name/3` or `models:/name@alias` to its version; raises NotFound, Unreachable."""

    def alias(self, name: str, alias: str) -> str | None:
        """The version that an alias points to, None where model or alias does not exist."""

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version (last writer wins in MLflow; the caller holds the lock)."""

    def find_run(self, effect_id: str) -> str | None:
        """The finished run that an effect made, None where it did not happen."""

    def run_metrics(self, run_id: str) -> Mapping[str, float]:
        """The last value of each metric of a run; raises NotFound."""

    def log_model(
        self,
        model: Any,
        *,
        effect_id: str,
        experiment: str,
        predict: str,
        sample: Any,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> str:
        """Log a fitted model as one run; returns the run id. `sample` is a few input rows."""

    def find_version(self, name: str, effect_id: str) -> ModelVersion | None:
        """The version that an effect registered, None where it did not happen."""

    def register(
        self, name: str, *, source: str, effect_id: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Register `runs:/…`, `models:/m-…` or a run id under a name."""

    def tag_version(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        """Add tags to a version."""

    def load(self, uri: str) -> Any:
        """A scoreable model; pickled ones are refused by default.

        It has `.predict(pandas.DataFrame)`, and `.columns`: the input columns that it declares,
        None where it does not say.
        """

    def link(self, kind: str, **names: str) -> str | None:
        """The page that shows a `run` or a `version` to a person, where the registry has one."""

    def ping(self) -> str:
        """One sentence about the registry behind the port; raises Unreachable."""


@dataclass(frozen=True)
class Verdict:
    """A policy's answer. Undefined, an error and a time-out are `allowed=False`."""

    allowed: bool
    reason: str


class Policy(Protocol):
    """Says whether; the orchestrator says when. Asked at claim, at resume and before an effect."""

    def decide(self, action: str, *, identity: RunIdentity, facts: Mapping[str, Any]) -> Verdict:
        """Whether `action` (such as `step.start`, `model.promote`) may happen."""


class Sink(Protocol):
    """Where the outbox's messages of one topic go; delivering twice must be harmless."""

    def deliver(self, message: Message) -> None:
        """Hand the message on; raises RetryableError where it could not be."""


@dataclass(frozen=True)
class Message:
    """An outgoing event. `id` is deterministic, so that a repeat is recognised.

    Args:
        id: Unique name of the message.
        topic: `openlineage` or `event`; chooses the sink.
        body: JSON.
    """

    id: str
    topic: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class AuditFact:
    """What is to be written in the audit log, before its personal fields are hidden.

    Args:
        action: What was attempted, such as `run.finish` or `signoff.vote`.
        outcome: `ok`, `refused` or `failed`.
        actor: Who; an id that is not a system's becomes a salted commitment.
        subject: What it was done to: flat, non-personal.
        facts: Non-personal details.
        personal: Details about people; only salted commitments enter the log.
    """

    action: str
    outcome: str
    actor: Actor
    subject: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    personal: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A worker's wish to perform a step.

    Args:
        key: Digest over workflow, run, task, step and inputs: one piece of work.
        kind: The step's versioned kind.
        identity: The attempt.
        step: The step's JSON.
        step_digest: Its digest.
        inputs: Resolved floating inputs: name to version or digest.
        lease_seconds: How long the claim lives without a heartbeat.
        replay: Whether a recorded Done may be returned instead of a lease.
        owner: The process that asks, as `ledger.owner.this_process` names it.
        nonce: Names this very call: where its answer was lost, asking again gets the same lease.
        messages: Outgoing events of the START.
    """

    key: str
    kind: str
    identity: RunIdentity
    step: Mapping[str, Any]
    step_digest: str
    inputs: Mapping[str, str]
    lease_seconds: float
    replay: bool
    owner: str
    nonce: str
    messages: Sequence[Message] = ()


@dataclass(frozen=True)
class Claimed:
    """The lease is ours; `token` fences every later write of this attempt."""

    token: int
    started_at: datetime


@dataclass(frozen=True)
class Recorded:
    """The work is already done: its outcome's JSON."""

    outcome: Mapping[str, Any]


@dataclass(frozen=True)
class Ending:
    """How an attempt ended.

    Args:
        state: `done`, `waiting`, `blocked`, `failed` or `denied`.
        outcome: The outcome's or the error's JSON.
        messages: Outgoing events.
        request_id: The request it waits for, where state is `waiting`.
        facts: Non-personal facts for the audit entry.
    """

    state: str
    outcome: Mapping[str, Any]
    messages: Sequence[Message] = ()
    request_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One piece of work as the ledger knows it."""

    key: str
    kind: str
    state: str
    identity: Mapping[str, Any]
    step: Mapping[str, Any]
    step_digest: str
    inputs: Mapping[str, str]
    token: int
    owner: str | None
    lease_until: datetime | None
    request_id: str | None
    outcome: Mapping[str, Any] | None
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Attempt:
    """One worker's try at a piece of work.

    Args:
        token: Its fencing token; the newest attempt has the highest.
        owner: The process that made it.
        identity: The attempt as its orchestrator knows it.
        started_at: When it took the lease.
        ended_at: When it ended, or was found lost.
        ending: How it ended, or `lost` where a later attempt took over.
    """

    token: int
    owner: str
    identity: Mapping[str, Any]
    started_at: datetime
    ended_at: datetime | None
    ending: str | None


@dataclass(frozen=True)
class Event:
    """One entry of an append-only stream; `version` counts from 1."""

    version: int
    kind: str
    at: datetime
    body: Mapping[str, Any]


@dataclass(frozen=True)
class StreamInfo:
    """A stream's head: what a list shows without reading every event."""

    stream: str
    category: str
    state: str
    version: int
    due: datetime | None
    updated_at: datetime


@dataclass(frozen=True)
class Budget:
    """A token bucket that all workers share: what may be spent on retries.

    Args:
        name: What it is for, such as `airflow:nightly` or `endpoint:https://host`.
        capacity: Most tokens that it holds, and what it holds at first.
        refill_per_second: Tokens that time gives back.
    """

    name: str
    capacity: float
    refill_per_second: float = 0.0


class Ledger(Protocol):
    """The record: claims with fencing, append-only streams, the audit log, the outbox."""

    def claim(self, claim: Claim) -> Claimed | Recorded:
        """Take the lease and record the start in one commit.

        Raises LeaseHeld, and Conflict where the key stands for another step or other inputs.
        """

    def heartbeat(self, key: str, token: int, *, lease_seconds: float) -> None:
        """Prolong the lease; raises FencedOut where a later attempt holds it."""

    def finish(self, key: str, token: int, ending: Ending) -> None:
        """Record the ending, its audit entry and messages in one commit; raises FencedOut.

        Saying the same ending again is harmless: a commit whose answer was lost is repeated.
        """

    def deny(self, claim: Claim, ending: Ending) -> None:
        """Record an attempt that ended before it took a lease: refused, or without its input."""

    def append(
        self,
        stream: str,
        additions: Sequence[tuple[str, Mapping[str, Any]]],
        *,
        category: str,
        expected: int,
        state: str,
        due: datetime | None,
        audit: Sequence[AuditFact],
        messages: Sequence[Message] = (),
    ) -> int:
        """Append to a stream whose version is still `expected`; else raises Conflict.

        Returns the new version. With no events, only the audit entries are written: a refusal.
        """

    def read(self, stream: str) -> list[Event]:
        """A stream's events in order; empty where it does not exist."""

    def streams(
        self, category: str, *, state: str | None = None, since: datetime | None = None
    ) -> list[StreamInfo]:
        """Heads of a category's streams, newest first.

        With `since`, those that moved at that moment or later; a stream that is being written now
        may have moved a minute before it can be seen.
        """

    def run(self, key: str) -> RunRecord | None:
        """A piece of work by its key, or by the beginning of it where that is unique."""

    def attempts(self, key: str) -> list[Attempt]:
        """Every attempt at a piece of work that took a lease, oldest first."""

    def runs(
        self, *, state: str | None = None, request_id: str | None = None, limit: int = 100
    ) -> list[RunRecord]:
        """Pieces of work, newest first."""

    def due(self, category: str, *, state: str, limit: int) -> list[StreamInfo]:
        """Streams in a state whose time has come, each handed to one caller for half a minute."""

    def watch(self, *, seconds: float) -> bool:
        """Wait until a stream may have changed, at most so long; False where time was up."""

    def acquire(self, name: str, *, holder: str, seconds: float) -> None:
        """Take a named lease (`promote:<model>`); raises LeaseHeld where another holds it.

        A holder that asks again gets it again: `<purpose>|<process>`, unique to one use.
        """

    def release(self, name: str, *, holder: str) -> None:
        """Give a named lease back; one that is not held is no error."""

    def lock(self, name: str, *, owner: str, seconds: float) -> AbstractContextManager[None]:
        """A named lease for the length of a block; raises LeaseHeld where another holds it."""

    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        """Put `earned` tokens in, then take `cost` out if they are there; False takes nothing.

        A budget's first use finds it full.
        """

    def drain(self, sinks: Mapping[str, Sink], *, limit: int) -> int:
        """Deliver up to `limit` outgoing messages; returns how many were delivered."""

    def check(self) -> dict[str, Any]:
        """Facts for `doctor`: schema version, counts, audit log intact."""
