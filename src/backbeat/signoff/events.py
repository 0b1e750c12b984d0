"""What can happen to a request, each an event of its append-only stream.

Events of format 1 (`requested`, `voted`, `decided`) are what version 0.2 wrote and reads. Those of
format 2 have kinds that 0.2 passes over; each says its format. A kind or format that is unknown
here was written by a later version, and the request is then not played at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import AwareDatetime, ValidationError

from backbeat.errors import LedgerIncompatible
from backbeat.identity import Actor
from backbeat.ports import Event
from backbeat.signoff.evidence import Evidence
from backbeat.signoff.people import Person
from backbeat.signoff.request import Decision, Request, Vote
from backbeat.signoff.rules import Rules
from backbeat.signoff.text import Frozen, Paragraph

__all__ = [
    "BrokenGlass",
    "Delegated",
    "Escalated",
    "EvidenceChanged",
    "Happened",
    "Happening",
    "Reminded",
    "Retracted",
    "RulesChanged",
    "kind_and_body",
    "read_events",
]

_FORMAT = 2


class _Act(Frozen):
    """What a person does.

    Args:
        actor: Who, and through which door.
        person: Who that is.
        reason: Why, in their own words.
        at: When.
        claimed_by: The operating-system user who has claimed to be this actor.
    """

    actor: Actor
    person: Person
    reason: Paragraph = ""
    at: AwareDatetime
    claimed_by: str = ""


class Retracted(_Act):
    """Somebody takes their vote back while its stage is open."""


class Delegated(_Act):
    """Somebody lets somebody else vote for them on this request.

    Args:
        delegate: Who then votes with the right of `person`.
        starts: From when on.
        ends: Until when, that moment not included.
        standing: Whether it comes from the directory: it may be no right here, but whoever acts
            for whom are never four eyes.
    """

    delegate: Person
    starts: AwareDatetime
    ends: AwareDatetime
    standing: bool = False


class EvidenceChanged(_Act):
    """The requester shows something else: every vote before is void."""

    about: dict[str, str]
    evidence: dict[str, Any]
    shown: Evidence | None = None


class RulesChanged(_Act):
    """The rules are others now: every vote before is void.

    Args:
        rules: The new rules.
        deadline: When their default decides.
    """

    rules: Rules
    deadline: AwareDatetime


class BrokenGlass(_Act):
    """One person has approved alone, in an emergency."""


class Reminded(Frozen):
    """Those who may vote were reminded; `key` names the reminder, and there is one of each."""

    key: str
    to: tuple[str, ...]
    at: AwareDatetime


class Escalated(Frozen):
    """Others were told; `key` names the level and its repeat, and there is one of each."""

    key: str
    to: tuple[str, ...]
    may_vote: bool
    at: AwareDatetime


Happening = (
    Vote
    | Retracted
    | Delegated
    | EvidenceChanged
    | RulesChanged
    | BrokenGlass
    | Reminded
    | Escalated
    | Decision
)

_KINDS: Mapping[str, type[Frozen]] = {
    "voted": Vote,
    "vote": Vote,
    "retracted": Retracted,
    "delegated": Delegated,
    "evidence_changed": EvidenceChanged,
    "rules_changed": RulesChanged,
    "broken_glass": BrokenGlass,
    "reminded": Reminded,
    "escalated": Escalated,
    "decided": Decision,
}
_NAMES = {cls: kind for kind, cls in _KINDS.items()}


class Happened(NamedTuple):
    """An event in its place: the ledger's order is the order, whatever the clocks say.

    Args:
        version: Its number in the stream, from 1.
        recorded: By the ledger's clock.
        what: The event.
    """

    version: int
    recorded: datetime
    what: Happening


def kind_and_body(what: Happening) -> tuple[str, dict[str, Any]]:
    """How an event is appended."""
    if isinstance(what, Vote):
        return what.stored()
    body = what.model_dump(mode="json")
    if isinstance(what, Decision):
        return "decided", body
    return _NAMES[type(what)], {"format": _FORMAT, **body}


def read_events(events: Iterable[Event]) -> tuple[Request, list[Happened]]:
    """A stream's request, and what has happened to it since.

    Raises:
        LedgerIncompatible: It was written by a later version, or by something else.
    """
    first, *others = events
    try:
        request = Request.model_validate(first.body)
        return request, [
            Happened(event.version, event.at, _read(event.kind, event.body)) for event in others
        ]
    except (ValidationError, KeyError) as error:
        raise LedgerIncompatible(
            "this sign-off request holds what this version of backbeat does not know",
            hint="upgrade backbeat here to the newest version that writes to this ledger",
        ) from error


def _read(kind: str, body: Mapping[str, Any]) -> Happening:
    fields = dict(body)
    if fields.pop("format", _FORMAT) != _FORMAT:
        raise KeyError(kind)
    found: Happening = _KINDS[kind].model_validate(fields)  # type: ignore[assignment]
    return found
