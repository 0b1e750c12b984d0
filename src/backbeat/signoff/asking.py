"""A sign-off as somebody writes it down: what is asked, what is shown, by which rules."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, Field

from backbeat.canonical import digest
from backbeat.errors import InvalidData
from backbeat.identity import Actor
from backbeat.signoff.evidence import Evidence
from backbeat.signoff.form import Form
from backbeat.signoff.request import Request
from backbeat.signoff.rules import Rules
from backbeat.signoff.text import Frozen, Line, Name

__all__ = ["Asking"]

_USUAL = timedelta(days=3)


class Asking(Frozen):
    """What `backbeat signoff request` reads from a file.

    Args:
        subject: One line for people.
        about: What is approved, such as model and version; later effects are held against it.
        evidence: Free facts.
        shown: Facts, links, tables and pictures.
        form: What a voter fills in.
        rules: Who decides.
        deadline: When the default decides; from the rules' `within`, or three days, if not given.
    """

    subject: Line = Field(min_length=1)
    about: dict[Name, Line] = Field(default_factory=dict)
    evidence: dict[str, Any] = Field(default_factory=dict)
    shown: Evidence | None = None
    form: Form | None = None
    rules: Rules
    deadline: AwareDatetime | None = None

    def request(
        self, *, requester: Actor, created: datetime, workflow: str, request_id: str | None = None
    ) -> Request:
        """The request that this asks for.

        Args:
            requester: Who asks.
            created: When, with a time zone.
            workflow: The workflow run that waits, for people.
            request_id: Its id; if not given, what is asked, by whom and for what gives it.

        Raises:
            InvalidData: Its deadline has passed, or lies before somebody is to be reminded.
        """
        content = self.model_dump(mode="json")
        named = digest({"asking": content, "by": requester.model_dump(), "workflow": workflow})
        rules = self.rules
        deadline = self.deadline or rules.after(created, rules.within or _USUAL)
        latest = max(
            [*rules.reminders, *(level.after for level in rules.escalation)], default=timedelta(0)
        )
        if deadline <= rules.after(created, latest):
            raise InvalidData(
                f"the deadline {deadline.isoformat()} comes before all of it can happen",
                hint="set a later `deadline`, or tell people sooner",
            )
        return Request(
            request_id=request_id or f"so-{named.removeprefix('sha256:')[:16]}",
            subject=self.subject,
            about=self.about,
            evidence=self.evidence,
            requester=requester,
            rules=rules,
            created=created,
            deadline=deadline,
            workflow=workflow,
            shown=self.shown,
            form=self.form,
        )
