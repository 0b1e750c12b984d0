"""A Step: one piece of work as data, and the three ways in which it can go well or be stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from backbeat.canonical import digest
from backbeat.errors import InvalidStep
from backbeat.identity import RunIdentity
from backbeat.ports import Budget, Ledger, Need, Policy, Registry, Store
from backbeat.reference import DataRef

__all__ = [
    "Blocked",
    "Done",
    "Job",
    "Outcome",
    "Replay",
    "Step",
    "StepContext",
    "Waiting",
    "outcome_from_json",
]


class Replay(StrEnum):
    """What a retry of finished work does."""

    RECORDED = "recorded"  # hand out the recorded Done
    VERIFY = "verify"  # look at the world again
    CONTENT = "content"  # perform again; only what is missing costs anything


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Done(_Frozen):
    """It went well. "drifted" is a Done with a verdict.

    Args:
        value: Flat JSON that later steps read (`verdict`, `version`, ...).
        metrics: Numbers worth plotting.
        inputs: What was read.
        outputs: What was written.
        evidence: What a person would want to see to believe it.
    """

    status: Literal["done"] = "done"
    value: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    inputs: tuple[DataRef, ...] = ()
    outputs: tuple[DataRef, ...] = ()
    evidence: dict[str, Any] = Field(default_factory=dict)


class Job(_Frozen):
    """Remote work that goes on by itself, as a trigger or a sensor carries it; no secret.

    Args:
        id: What its server calls it.
        address: Where it is asked about.
        credentials: Name of the credentials that the platform knows; empty for none.
        note: Store key under which it is noted that the job was cancelled with its task: then the
            next attempt submits what is left.
    """

    id: str = Field(min_length=1)
    address: str
    credentials: str = ""
    note: str = ""


class Waiting(_Frozen):
    """Parked on people, or on remote jobs; nothing is held.

    Args:
        request_id: The request to watch, and the only thing that whoever watches it carries. With
            jobs, a name for the wait.
        until: When the deadline's default takes effect, UTC.
        jobs: What must end before the step is performed again; empty where people decide.
    """

    status: Literal["waiting"] = "waiting"
    request_id: str
    until: datetime | None = None
    jobs: tuple[Job, ...] = ()


class Blocked(_Frozen):
    """A gate said no. Not retryable.

    Args:
        reason: One sentence for people.
        evidence: What the gate saw.
        inputs: What was read.
    """

    status: Literal["blocked"] = "blocked"
    reason: str
    evidence: dict[str, Any] = Field(default_factory=dict)
    inputs: tuple[DataRef, ...] = ()


Outcome = Done | Waiting | Blocked
_OUTCOMES: TypeAdapter[Outcome] = TypeAdapter(
    Annotated[Done | Waiting | Blocked, Field(discriminator="status")]
)


def outcome_from_json(value: Mapping[str, Any]) -> Outcome:
    """Read an outcome back from the JSON that the ledger keeps."""
    return _OUTCOMES.validate_python(dict(value))


class StepContext(Protocol):
    """What a step may use while it performs: the ports that it declared in `needs`, no others."""

    @property
    def identity(self) -> RunIdentity:
        """The attempt that performs."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """Floating inputs as the claim resolved them."""

    @property
    def store(self) -> Store:
        """The store; raises UnmetNeed where the step did not declare it."""

    @property
    def registry(self) -> Registry:
        """The model registry; raises UnmetNeed where the step did not declare it."""

    @property
    def ledger(self) -> Ledger:
        """The ledger; raises UnmetNeed where the step did not declare it."""

    @property
    def policy(self) -> Policy:
        """Asked again right before an effect."""

    @property
    def waited_for(self) -> frozenset[str] | None:
        """None where the step waits for remote jobs itself.

        Else it hands those that are under way out as Waiting; this very attempt has waited for the
        ids that are in it.
        """

    def effect_id(self, name: str, *, content: Any = None) -> str:
        """The deterministic id of one external effect.

        Without `content` it belongs to this piece of work (workflow, run, task, step, inputs);
        with it, to the content: two runs that would do the very same thing share the effect.
        """

    def spend(self, budget: Budget, *, cost: float, earned: float = 0.0) -> bool:
        """`Ledger.spend` where the platform has a ledger; in this process alone where not."""

    def credentials(self, name: str) -> Mapping[str, str]:
        """Credentials by their name, see `Platform`; raises UnmetNeed where there are none."""

    def progress(self, done: int, total: int, what: str) -> None:
        """Tell people how far long work is, e.g. `progress(3, 9, "shards")`."""

    def ensure_current(self) -> None:
        """Raise FencedOut where a later attempt has taken over; call it before an effect."""


class Step(_Frozen, ABC):
    """The base of all steps: frozen, validated without running, written as JSON.

    A subclass names its versioned `kind`, what it `needs`, what a retry of it means (`replay`),
    and performs.
    """

    # a template engine may render a version as a number; NaN must not become null unnoticed
    model_config = ConfigDict(coerce_numbers_to_str=True, ser_json_inf_nan="constants")

    kind: ClassVar[str]
    needs: ClassVar[frozenset[Need]] = frozenset({Need.STORE})
    replay: ClassVar[Replay] = Replay.RECORDED

    @abstractmethod
    def perform(self, ctx: StepContext) -> Outcome:
        """Do the work. Errors are exceptions of `backbeat.errors`, which say if a retry helps."""

    def required(self) -> frozenset[Need]:
        """What this very step needs, where its fields ask for less than `needs`."""
        return self.needs

    def resolve(self, ctx: StepContext) -> dict[str, str]:
        """Pin floating inputs (an alias, a folder) to versions and digests, at the claim."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """The step as it is written to a file: its kind, and the fields that differ from defaults.

        Defaults are left out, so that a field added later changes no digest; a changed default is
        a new version of the kind.
        """
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_defaults=True)}

    def digest(self) -> str:
        """`sha256:<hex>` of the canonical form of `to_json()`.

        Raises:
            InvalidStep: A field holds NaN, an infinity or a lone surrogate, which JSON cannot say.
        """
        try:
            return digest(self.to_json())
        except ValueError as error:
            raise InvalidStep(
                f"{self.kind} holds a value that JSON cannot say: {error}",
                hint="replace NaN and infinities by null or by a text",
            ) from error
