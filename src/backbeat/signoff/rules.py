"""The rules of a sign-off as data: who decides, in which order, how, and by when."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from backbeat.identity import Method
from backbeat.signoff.people import GROUP, ROLE, SYSTEM
from backbeat.signoff.text import Frozen, Line, Name
from backbeat.signoff.working_time import WorkingHours

__all__ = ["BreakGlass", "Choice", "Escalation", "Rules", "Stage"]

Choice = Literal["approve", "reject"]
Selectors = tuple[Name, ...]
_SIMPLE = ("quorum", "approvers", "four_eyes", "default")
_MANY = 50


def _either(schema: dict[str, Any]) -> None:
    """With stages, what follows from them need not be said."""
    schema.pop("required", None)
    schema["anyOf"] = [{"required": ["quorum", "four_eyes"]}, {"required": ["stages"]}]


class Stage(Frozen):
    """One of several decisions in order.

    Args:
        name: For people.
        quorum: Approvals of distinct people that it takes.
        of: Who may vote: ids, `group:<name>`, `role:<name>`; empty means anybody who is known.
        rejections: How many counted rejections reject the request.
        veto: Whose one rejection rejects, whether they may vote or not.
        four_eyes: Requester, and whoever acts for whom, never count together, and nobody counts in
            two stages; on by default when the quorum is 2 or more.
        methods: Doors through which a vote must come, such as `oidc`; empty means any that knows
            who comes through it.
    """

    name: Line = ""
    quorum: int = Field(default=1, ge=1, le=_MANY)
    of: Selectors = Field(default=(), max_length=1000)
    rejections: int = Field(default=1, ge=1, le=_MANY)
    veto: Selectors = Field(default=(), max_length=1000)
    four_eyes: bool | None = None
    methods: tuple[Method, ...] = ()

    @model_validator(mode="after")
    def _reachable(self) -> Stage:
        _check_selectors(self.of)
        _check_selectors(self.veto)
        people = {one for one in self.of if not one.startswith((GROUP, ROLE))}
        if self.of and len(people) == len(set(self.of)) and len(people) < self.quorum:
            raise ValueError(f"a quorum of {self.quorum} cannot be reached by {len(people)} people")
        if not {"anonymous", "system"}.isdisjoint(self.methods):
            raise ValueError("a person comes through a door that knows them: not anonymous, system")
        return self

    @property
    def two_pairs_of_eyes(self) -> bool:
        """Whether four eyes are demanded, said or by default."""
        return self.quorum > 1 if self.four_eyes is None else self.four_eyes


class Escalation(Frozen):
    """One level: who is told after a time without a decision, and whether they may then decide.

    Args:
        after: Time since the request was made; working time where the rules have hours.
        to: Who is told: ids, `group:<name>`, `role:<name>`.
        repeats: How often they are told again, each time after `every`.
        every: Time between two repeats.
        may_vote: Whether they may vote from then on, in whichever stage is open.
    """

    after: timedelta = Field(gt=timedelta(0))
    to: Selectors = Field(min_length=1, max_length=100)
    repeats: int = Field(default=0, ge=0, le=100)
    every: timedelta | None = Field(default=None, gt=timedelta(0))
    may_vote: bool = False

    @model_validator(mode="after")
    def _rhythm(self) -> Escalation:
        _check_selectors(self.to)
        if bool(self.repeats) != (self.every is not None):
            raise ValueError("repeats and every belong together: how often, and after what time")
        return self


class BreakGlass(Frozen):
    """Who may approve alone in an emergency, with a reason, and everybody is told.

    Args:
        by: Ids, `group:<name>`, `role:<name>`.
        methods: Doors through which it must come; empty means any that knows who comes.
        requester: Whether the requester may do so, if they are named.
    """

    by: Selectors = Field(min_length=1, max_length=100)
    methods: tuple[Method, ...] = ()
    requester: bool = False


class Rules(Frozen):
    """Who may decide, and how many it takes.

    The first four fields are the simple form: one stage. With `stages` they are what follows from
    these, and need not be said. Where working hours are given, every duration is working time.

    Args:
        quorum: Approvals of distinct people that it takes.
        approvers: Ids that may vote; empty means anybody who is known.
        four_eyes: The requester's own vote is refused.
        default: What the deadline decides.
        stages: Several decisions, each after the one before it.
        within: How long there is, where the request does not name a moment.
        reminders: When those who may vote are reminded, since the request was made.
        escalation: Who else is told, in order.
        hours: When people work.
        break_glass: Who may approve alone in an emergency.
        delegation: Whether somebody who may vote can let somebody else vote for them.
        changed_by: Who may change the rules while the request is open; nobody if empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_either)

    quorum: int = Field(ge=1)
    approvers: tuple[str, ...] = ()
    four_eyes: bool
    default: Choice = "reject"
    stages: tuple[Stage, ...] = Field(default=(), max_length=20)
    within: timedelta | None = Field(default=None, gt=timedelta(0))
    reminders: tuple[timedelta, ...] = Field(default=(), max_length=50)
    escalation: tuple[Escalation, ...] = Field(default=(), max_length=20)
    hours: WorkingHours | None = None
    break_glass: BreakGlass | None = None
    delegation: bool = False
    changed_by: Selectors = Field(default=(), max_length=100)

    @model_validator(mode="before")
    @classmethod
    def _follows(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not value.get("stages"):
            return value
        try:
            stages = [Stage.model_validate(one) for one in value["stages"]]
        except (ValidationError, TypeError):
            # the field's own validation says where they are wrong
            return {"quorum": 1, "four_eyes": False, **value}
        follows = {
            "quorum": sum(stage.quorum for stage in stages),
            "approvers": tuple(dict.fromkeys(one for stage in stages for one in stage.of)),
            "four_eyes": any(stage.two_pairs_of_eyes for stage in stages),
        }
        for name, found in follows.items():
            said = value.get(name, found)
            if (tuple(said) if isinstance(said, list) else said) != found:
                raise ValueError(f"{name} is said in the stages, and differently beside them")
        return {**value, **follows}

    @model_validator(mode="after")
    def _in_order(self) -> Rules:
        _check_selectors(self.changed_by)
        if any(later <= earlier for earlier, later in pairwise((timedelta(0), *self.reminders))):
            raise ValueError("reminders come one after the other")
        levels = [level.after for level in self.escalation]
        if any(later <= earlier for earlier, later in pairwise(levels)):
            raise ValueError("escalation levels come one after the other")
        latest = max([*self.reminders, *levels], default=timedelta(0))
        if self.within is not None and latest >= self.within:
            raise ValueError(f"nobody can be told after {latest}: it ends within {self.within}")
        return self

    @model_serializer(mode="wrap")
    def _as_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # the simple form is written as it always was: earlier versions read it, digests stay
        written: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {
            name: value
            for name, value in written.items()
            if name in _SIMPLE or getattr(self, name) != fields[name].default
        }

    @property
    def simple(self) -> bool:
        """Whether the simple form says it all, so that version 0.2 of backbeat can play it."""
        fields = type(self).model_fields
        return all(
            getattr(self, name) == field.default
            for name, field in fields.items()
            if name not in _SIMPLE
        )

    @property
    def in_order(self) -> tuple[Stage, ...]:
        """The stages; of the simple form, the one that it stands for."""
        if self.stages:
            return self.stages
        alone = {"quorum": self.quorum, "of": self.approvers, "four_eyes": self.four_eyes}
        return (Stage.model_construct(**{**_ONE, **alone}),)

    def after(self, moment: datetime, time: timedelta) -> datetime:
        """The moment when so much time has passed: working time, where there are hours."""
        return moment + time if self.hours is None else self.hours.add(moment, time)


_ONE: dict[str, Any] = {"name": "", "rejections": 1, "veto": (), "methods": ()}


def _check_selectors(selectors: Selectors) -> None:
    for one in selectors:
        if one in {GROUP, ROLE} or one.startswith(SYSTEM):
            raise ValueError(
                f"{one!r} names nobody: write an id, group:<name> or role:<name>",
            )
