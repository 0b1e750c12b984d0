"""Everything that backbeat raises on purpose.

The tree, with what each branch means for a retry::

    BackbeatError
    ├── RetryableError            trying again later can help
    │   ├── LeaseHeld             another worker is performing the same step right now
    │   ├── Unreachable           a service or a database did not answer
    │   │   └── Overloaded        it asks for patience: too much to do, or still starting
    │   └── StorageFull           no room, or a passing input/output error
    └── FinalError                trying again cannot help until a person changes something
        ├── InvalidStep           a step's JSON does not validate
        ├── UnmetNeed             the platform lacks a part that the step needs
        ├── InvalidData           missing, empty, truncated or foreign data
        │   └── ContractBroken    a column is missing, renamed or of another type
        ├── NotFound              an unknown model, alias, request or run
        ├── Refused               policy, a rule or an identity check said no
        ├── Conflict              the world is not what the evidence saw
        ├── FencedOut             a later attempt has taken over: this one writes nothing
        ├── BudgetSpent           it could be retried, but too much has been retried already
        ├── UserCodeFailed        the user's own function raised or returned nonsense
        ├── InvalidAnswer         a server's answer is not what its protocol promises
        └── LedgerIncompatible    the ledger's schema is foreign or newer
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "BackbeatError",
    "BudgetSpent",
    "Conflict",
    "ContractBroken",
    "FencedOut",
    "FinalError",
    "InvalidAnswer",
    "InvalidData",
    "InvalidStep",
    "LeaseHeld",
    "LedgerIncompatible",
    "NotFound",
    "Overloaded",
    "Refused",
    "RetryableError",
    "StorageFull",
    "UnmetNeed",
    "Unreachable",
    "UserCodeFailed",
]


class BackbeatError(Exception):
    """The root: what happened, why, and what to do.

    Args:
        message: What happened and why, one sentence each.
        hint: What a person can do about it; starts with a verb.
        retry_after: Seconds after which trying again makes sense, where that is known.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        self.message = message
        self.hint = hint
        self.retry_after = retry_after
        super().__init__(message)

    def __str__(self) -> str:
        hint = f" Hint: {self.hint}" if self.hint else ""
        return f"{self.message}{hint} {self._retry_sentence()}"

    def __reduce__(self) -> tuple[Any, ...]:
        # keyword-only arguments would be lost when a worker pickles its exception to its parent
        return (_rebuild, (type(self), self.message, self.hint, self.retry_after))

    def as_json(self) -> dict[str, Any]:
        """The error as flat JSON, the form that the ledger and `--json` show."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
            "retry_after": self.retry_after,
        }

    def _retry_sentence(self) -> str:
        if not self.retryable:
            return "(a retry will not help)"
        if self.retry_after is None:
            return "(a retry can help)"
        return f"(a retry can help after {self.retry_after:.0f} s)"


def _rebuild(
    cls: type[BackbeatError], message: str, hint: str, retry_after: float | None
) -> BackbeatError:
    return cls(message, hint=hint, retry_after=retry_after)


class RetryableError(BackbeatError):
    """Trying again later can help."""

    retryable = True


class LeaseHeld(RetryableError):
    """Another worker holds this step's lease; nothing was started."""


class Unreachable(RetryableError):
    """A service or a database did not answer."""


class Overloaded(Unreachable):
    """A service asks for patience: it has too much to do, or what is asked for is starting."""


class StorageFull(RetryableError):
    """The disk is full, read-only or failing; nothing half-written is visible."""


class FinalError(BackbeatError):
    """Trying again cannot help until a person changes something."""


class InvalidStep(FinalError):
    """A step's JSON has an unknown field, kind or version, or a value of the wrong type."""


class UnmetNeed(FinalError):
    """The platform lacks a part that the step needs; named with its rung, before any work."""


class InvalidData(FinalError):
    """Data that is missing, empty, truncated or of another format."""


class ContractBroken(InvalidData):
    """A column is missing, renamed or of another type than declared."""


class NotFound(FinalError):
    """An unknown model, alias, request or run."""


class Refused(FinalError):
    """Policy, a rule or an identity check said no; the refusal is on record."""


class Conflict(FinalError):
    """The world is not what the evidence saw; nothing was changed."""


class FencedOut(FinalError):
    """A later attempt has taken this step over; what this attempt did is not recorded."""


class BudgetSpent(FinalError):
    """A retry could help, but the retry budget is spent: more calls would feed the overload."""


class UserCodeFailed(FinalError):
    """The user's own function raised, returned nothing, or returned what cannot be used."""


class InvalidAnswer(FinalError):
    """A server's answer is not what its protocol promises: another type, shape or size."""


class LedgerIncompatible(FinalError):
    """The ledger's schema is foreign, or newer than this version of backbeat can write."""
