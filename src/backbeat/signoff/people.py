"""Who is who: one person behind several doors, and what groups and roles they are in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from pydantic import AwareDatetime, Field, model_validator

from backbeat.errors import InvalidData
from backbeat.identity import Actor
from backbeat.signoff.text import Frozen, Line, Name, name_key

__all__ = ["Directory", "People", "Person", "StandingDelegation", "matches", "person_of"]

GROUP, ROLE, SYSTEM = "group:", "role:", "system:"
_RESERVED = (GROUP, ROLE, SYSTEM)
# who comes through another is nobody in particular
_METHODS = frozenset({"airflow", "dagster", "cli", "python", "token", "oidc", "slack"})
# what one of these vouches for is what the operating system's user claims, and no more
CLAIMS = frozenset({"cli", "python"})


class Person(Frozen):
    """One person, as a rule sees them.

    Args:
        id: The person's id, the same through every door.
        member_of: `group:<name>` and `role:<name>`.
        printed_name: As it stands beside a signature (21 CFR 11.50).
    """

    id: Name
    member_of: frozenset[str] = frozenset()
    printed_name: Line = ""

    @property
    def key(self) -> str:
        """What two people never have in common."""
        return name_key(self.id)


class StandingDelegation(Frozen):
    """Somebody acts for somebody else during a time, on every request whose rules allow it.

    Args:
        delegator: Whose right it is.
        delegate: Who uses it.
        starts: From when on.
        ends: Until when, that moment not included.
    """

    delegator: Name
    delegate: Name
    starts: AwareDatetime
    ends: AwareDatetime

    @model_validator(mode="after")
    def _some_time(self) -> StandingDelegation:
        if self.ends <= self.starts:
            raise ValueError("a delegation ends after it starts")
        return self


class Directory(Protocol):
    """Where people are looked up: `People` in a file or a ledger, or a company's own directory."""

    def person(self, actor: Actor) -> Person:
        """Who an actor is; somebody of whom nothing is known is called by the actor's id."""

    def known(self, person_id: str) -> Person:
        """A person by their own id."""

    def standing(self, person: Person, at: datetime) -> Collection[StandingDelegation]:
        """The delegations from or to a person that hold at a moment."""


class People(Frozen):
    """A directory as data: JSON in a file, or kept in the ledger.

    Args:
        identities: `<method>:<id>` to the person's id, such as `{"slack:U024BE7LH": "ana"}`;
            who is not there is called by the id that the door vouches for.
        groups: A group's name to its people's ids.
        roles: A role's name to its people's ids.
        names: A person's id to the printed name.
        delegations: Who acts for whom.
    """

    identities: Mapping[str, Name] = Field(default_factory=dict)
    groups: Mapping[Name, tuple[Name, ...]] = Field(default_factory=dict)
    roles: Mapping[Name, tuple[Name, ...]] = Field(default_factory=dict)
    names: Mapping[Name, Line] = Field(default_factory=dict)
    delegations: tuple[StandingDelegation, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> People:
        for door in self.identities:
            method, colon, known = door.partition(":")
            if not colon or not known or method not in _METHODS:
                raise ValueError(
                    f"{door!r} names no door: write <method>:<id>, with one of {sorted(_METHODS)}"
                )
        people = [*self.identities.values(), *self.names]
        people += [one for some in (*self.groups.values(), *self.roles.values()) for one in some]
        for person in people:
            if person.startswith(_RESERVED):
                raise ValueError(f"{person!r} is no person: groups do not contain groups")
        return self

    def person(self, actor: Actor) -> Person:
        """Who an actor is."""
        door = f"{actor.method}:{name_key(actor.id)}"
        doors = (known.split(":", 1) for known in self.identities)
        known = {f"{method}:{name_key(name)}": f"{method}:{name}" for method, name in doors}
        return self.known(self.identities[known[door]] if door in known else actor.id)

    def known(self, person_id: str) -> Person:
        """A person by their own id."""
        key = name_key(person_id)
        names = {name_key(who): name for who, name in self.names.items()}
        return Person(
            id=person_id,
            member_of=frozenset(
                f"{prefix}{name}"
                for prefix, some in ((GROUP, self.groups), (ROLE, self.roles))
                for name, members in some.items()
                if key in map(name_key, members)
            ),
            printed_name=names.get(key, ""),
        )

    def standing(self, person: Person, at: datetime) -> tuple[StandingDelegation, ...]:
        """The delegations from or to a person that hold at a moment."""
        return tuple(
            one
            for one in self.delegations
            if person.key in {name_key(one.delegator), name_key(one.delegate)}
            and one.starts <= at < one.ends
        )


def person_of(directory: Directory, actor: Actor) -> Person:
    """Who an actor is, by a directory that may be somebody else's code.

    Raises:
        InvalidData: It answered with what is no person.
    """
    found = directory.person(actor)
    if not isinstance(found, Person):
        raise InvalidData(
            f"the directory answered with {type(found).__name__} instead of a Person",
            hint="let it return backbeat.signoff.Person(id=..., member_of=...)",
        )
    return found


def matches(selectors: Collection[str], person: Person) -> bool:
    """Whether a person is one of those that are named by id, `group:<name>` or `role:<name>`."""
    if person.id.startswith(_RESERVED):
        return False
    named = {name_key(one) for one in selectors if not one.startswith((GROUP, ROLE))}
    return person.key in named or not person.member_of.isdisjoint(selectors)
