"""A sign-off request, the votes on it, and how both lie in the ledger.

A request of the simple form, and a plain vote on it, are written as version 0.2 wrote them. What
0.2 cannot play is written so that 0.2 reads a request on which nobody may vote: it fails closed,
and neither its lists nor its tick break.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, Field, model_validator

from backbeat.canonical import digest
from backbeat.identity import Actor
from backbeat.signoff.evidence import Evidence
from backbeat.signoff.form import Form
from backbeat.signoff.people import CLAIMS, Person
from backbeat.signoff.rules import Choice, Rules
from backbeat.signoff.text import Frozen

__all__ = ["Choice", "Decision", "Request", "Rules", "Vote"]

_WRAPPED = "backbeat.signoff/2"
_NOBODY = "(this request needs backbeat 0.3 or later)"
_FACADE = {"quorum": 1_000_000, "approvers": [_NOBODY], "four_eyes": True, "default": "reject"}


class Request(Frozen):
    """What people are asked, and exactly what they are shown.

    Args:
        request_id: Deterministic for one piece of work.
        subject: One line.
        about: What is approved, such as model and version; later effects are held against it.
        evidence: What is shown.
        requester: Who asks.
        rules: Who decides.
        created: When it was asked.
        deadline: When the default decides.
        workflow: The workflow run that waits, for people.
        shown: Evidence with types, which people see as facts, links, tables and pictures.
        form: What a voter fills in.
        asked_by: The person behind the requester, where a directory knows more than the id.
    """

    request_id: str
    subject: str
    about: dict[str, str]
    evidence: dict[str, Any]
    requester: Actor
    rules: Rules
    created: datetime
    deadline: datetime
    workflow: str
    shown: Evidence | None = None
    form: Form | None = None
    asked_by: Person | None = None

    @model_validator(mode="before")
    @classmethod
    def _unwrapped(cls, value: Any) -> Any:
        # the rules come from who wrote the workflow and evidence often from data: evidence alone
        # must not be able to bring rules in
        if (
            isinstance(value, dict)
            and value.get("rules") == _FACADE
            and isinstance(value.get("evidence"), dict)
            and value["evidence"].keys() == {_WRAPPED}
        ):
            return value["evidence"][_WRAPPED]
        return value

    @property
    def simple(self) -> bool:
        """Whether version 0.2 of backbeat can play it by its rules."""
        return (
            self.rules.simple and self.shown is None and self.form is None and self.asked_by is None
        )

    @property
    def requester_person(self) -> Person:
        """Who asks, as a person."""
        return self.asked_by or Person(id=self.requester.id)

    @property
    def evidence_digest(self) -> str:
        """What every vote is bound to: all that was shown, and the rules (RFC 8785, SHA-256)."""
        shown = {
            "subject": self.subject,
            "about": self.about,
            "evidence": self.evidence,
            "rules": self.rules.model_dump(mode="json"),
        }
        for name, more in (("shown", self.shown), ("form", self.form)):
            if more is not None:
                shown[name] = more.model_dump(mode="json")
        return digest(shown)

    def described(self) -> dict[str, Any]:
        """The request as JSON for people and programs, without fields that it does not use."""
        whole = self.model_dump(mode="json")
        return {
            name: value
            for name, value in whole.items()
            if value is not None or name not in {"shown", "form", "asked_by"}
        }

    def stored(self) -> dict[str, Any]:
        """The request as it lies in the ledger; `Request.model_validate` reads it."""
        whole = self.described()
        if self.simple:
            return whole
        plain = {"evidence": {_WRAPPED: whole}, "rules": _FACADE}
        return {**{name: whole[name] for name in _PLAIN}, **plain}


_PLAIN = tuple(Request.model_fields)[:9]


class Vote(Frozen):
    """One person's word, bound to the digest of what was shown (21 CFR 11.50).

    Args:
        actor: Who, and through which door.
        choice: The word.
        evidence_digest: Of what they were shown.
        reason: In their own words.
        at: When.
        person: Who that is, where a directory knows more than the actor's id.
        meaning: What the signature means, such as `reviewed` or `approved for production`.
        printed_name: The signer's name as it is printed beside it.
        for_person: Key of the person whose right is used, where it is not the voter's own.
        answers: What the form was filled in with.
        claimed_by: The operating-system user who has claimed to be this actor.
        delivery: Names this very delivery of the vote, so that a second one is recognised.
    """

    actor: Actor
    choice: Choice
    evidence_digest: str
    reason: str = ""
    at: AwareDatetime
    person: Person | None = None
    meaning: str = ""
    printed_name: str = ""
    for_person: str | None = None
    answers: dict[str, Any] = Field(default_factory=dict)
    claimed_by: str = ""
    delivery: str = ""

    @property
    def by(self) -> Person:
        """Who votes, as a person."""
        return self.person or Person(id=self.actor.id)

    @property
    def is_claim(self) -> bool:
        """Whether nothing but the operating system's user stands behind it."""
        return self.actor.method in CLAIMS

    def stored(self) -> tuple[str, dict[str, Any]]:
        """The kind and body of the event: `voted` where version 0.2 can read it, else `vote`."""
        body = self.model_dump(mode="json")
        more = {
            name: body[name]
            for name, field in list(type(self).model_fields.items())[5:]
            if getattr(self, name) != field.get_default(call_default_factory=True)
        }
        plain = {name: body[name] for name in list(body)[:5]}
        return ("vote", {"format": 2, **plain, **more}) if more else ("voted", plain)


class Decision(Frozen):
    """What the rules make of the votes.

    Args:
        choice: The result.
        by: Ids whose votes made it; `system:deadline` where the default did, `system:withdrawn`
            where nobody waits any more, `system:break-glass` and who, in an emergency.
        at: When.
    """

    choice: Choice
    by: tuple[str, ...]
    at: datetime
